/** What the table keeps of a call: a hundred thousand of them have to fit. */
import type { Call } from "../../api/schema";

export type Row = Pick<
  Call,
  | "request_id"
  | "tenant_id"
  | "module"
  | "task"
  | "user_id"
  | "provider_used"
  | "provider_model"
  | "model_requested"
  | "status"
  | "tokens_used"
  | "processing_time_ms"
  | "error_code"
  | "error_message"
  | "user_feedback"
  | "created_at"
> & { cost: number | null; currency: string; ttft: number | null; attempts: number | null };

export function rowOf(call: Call): Row {
  const told = (call.response_metadata ?? {}) as Record<string, unknown>;
  const numberIn = (name: string) => (typeof told[name] === "number" ? (told[name] as number) : null);
  return {
    request_id: call.request_id,
    tenant_id: call.tenant_id,
    module: call.module,
    task: call.task,
    user_id: call.user_id,
    provider_used: call.provider_used,
    provider_model: call.provider_model,
    model_requested: call.model_requested,
    status: call.status,
    tokens_used: call.tokens_used,
    processing_time_ms: call.processing_time_ms,
    error_code: call.error_code,
    error_message: call.error_message,
    user_feedback: call.user_feedback,
    created_at: call.created_at,
    cost: numberIn("cost"),
    currency: typeof told.cost_currency === "string" ? told.cost_currency : "",
    ttft: numberIn("ttft_ms"),
    attempts: numberIn("attempts"),
  };
}
