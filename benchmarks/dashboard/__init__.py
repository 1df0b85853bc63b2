"""What the dashboard costs its reader: bytes, time, and how long the page is busy."""
