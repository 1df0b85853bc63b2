"""Who answers calls in a seeded world of faults, and how well: ``python -m benchmarks.recovery``."""
