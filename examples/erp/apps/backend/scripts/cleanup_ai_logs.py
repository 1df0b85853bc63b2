# apps/backend/scripts/cleanup_ai_logs.py
from datetime import datetime, timedelta
from sqlalchemy.orm import Session
from app.config.database import SessionLocal
from app.models.ai_log import AIRequestLog

def cleanup_old_logs(days=7):
    db = SessionLocal()
    cutoff = datetime.utcnow() - timedelta(days=days)
    
    deleted = db.query(AIRequestLog).filter(
        AIRequestLog.created_at < cutoff
    ).delete()
    
    db.commit()
    db.close()
    
    print(f"Eliminated {deleted} logs older than {days} days")

if __name__ == "__main__":
    cleanup_old_logs(days=7)
