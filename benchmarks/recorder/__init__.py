"""What the recorder costs and keeps, beside floors and peers in the same run."""
