-- Tabla de logs
CREATE TABLE IF NOT EXISTS ai_request_logs (
    id SERIAL PRIMARY KEY,
    request_id VARCHAR(50) UNIQUE NOT NULL,
    tenant_id VARCHAR(36),
    module VARCHAR(50),
    user_id VARCHAR(36),
    task VARCHAR(20) NOT NULL,
    prompt_length INTEGER NOT NULL,
    prompt_hash VARCHAR(64),
    temperature FLOAT DEFAULT 0.3,
    max_tokens INTEGER,
    model_requested VARCHAR(50),
    provider_used VARCHAR(20) NOT NULL,
    provider_model VARCHAR(50),
    status VARCHAR(20) DEFAULT 'success',
    response_content_length INTEGER DEFAULT 0,
    tokens_used INTEGER,
    processing_time_ms INTEGER,
    error_message TEXT,
    error_code VARCHAR(50),
    retry_count INTEGER DEFAULT 0,
    fallback_used VARCHAR(20),
    confidence_score FLOAT,
    user_feedback VARCHAR(20),
    correction_applied VARCHAR(255),
    request_metadata JSONB,
    response_metadata JSONB,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

-- Índices para queries comunes
CREATE INDEX idx_ai_logs_status_created ON ai_request_logs(status, created_at);
CREATE INDEX idx_ai_logs_module_task ON ai_request_logs(module, task);
CREATE INDEX idx_ai_logs_tenant_created ON ai_request_logs(tenant_id, created_at);
CREATE INDEX idx_ai_logs_created_at ON ai_request_logs(created_at);
CREATE INDEX idx_ai_logs_provider ON ai_request_logs(provider_used);
CREATE INDEX idx_ai_logs_request_id ON ai_request_logs(request_id);

-- Tabla de análisis de errores
CREATE TABLE IF NOT EXISTS ai_error_analysis (
    id SERIAL PRIMARY KEY,
    error_pattern VARCHAR(100) UNIQUE,
    error_code VARCHAR(50),
    error_message_pattern VARCHAR(255) NOT NULL,
    occurrence_count INTEGER DEFAULT 1,
    last_occurred TIMESTAMP,
    probable_cause TEXT,
    suggested_action TEXT,
    resolution_status VARCHAR(50) DEFAULT 'open',
    auto_correction_enabled VARCHAR(50),
    correction_config JSONB,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    updated_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    resolved_at TIMESTAMP
);

CREATE INDEX idx_ai_error_pattern ON ai_error_analysis(error_pattern);
CREATE INDEX idx_ai_error_last_occurred ON ai_error_analysis(last_occurred);

-- Tabla de recuperación
CREATE TABLE IF NOT EXISTS ai_error_recovery (
    id SERIAL PRIMARY KEY,
    request_log_id INTEGER,
    strategy_name VARCHAR(50) NOT NULL,
    step_number INTEGER,
    action_taken VARCHAR(100),
    was_successful VARCHAR(20),
    recovery_time_ms INTEGER,
    recovery_result JSONB,
    created_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);

CREATE INDEX idx_ai_recovery_request ON ai_error_recovery(request_log_id);
CREATE INDEX idx_ai_recovery_strategy ON ai_error_recovery(strategy_name);
