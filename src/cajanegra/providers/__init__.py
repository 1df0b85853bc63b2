"""The wire formats of AI providers, one file each."""
