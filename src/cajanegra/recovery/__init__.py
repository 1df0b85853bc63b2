"""What to do about a failure: decide, wait, simplify, ask somebody else."""
