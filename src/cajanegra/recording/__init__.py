"""The hot path: from the application's call to rows on their way to the database."""
