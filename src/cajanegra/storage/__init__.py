"""The only place that knows SQL: tables, migrations, writes, reads, retention, backup."""
