"""What a failure means: its kind, its pattern, its cause and what to do about it."""
