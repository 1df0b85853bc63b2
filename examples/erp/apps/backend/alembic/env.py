"""Alembic's entry: the ERP's own tables and those of the AI record, migrated together."""

from alembic import context

from app.config.database import DATABASE_URL, engine
from app.models import ai_log, erp

options = {
    "target_metadata": [erp.Base.metadata, ai_log.Base.metadata],
    "include_name": ai_log.include_name,
    "compare_type": ai_log.compare_type,
}

if context.is_offline_mode():
    context.configure(url=DATABASE_URL, literal_binds=True, **options)
    with context.begin_transaction():
        context.run_migrations()
else:
    with engine.connect() as connection:
        context.configure(connection=connection, **options)
        with context.begin_transaction():
            context.run_migrations()
