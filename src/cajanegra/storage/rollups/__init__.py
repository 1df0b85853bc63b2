"""Counts per hour and day, so that a statistic costs the same however many calls there are."""
