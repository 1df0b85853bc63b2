"""A demonstration: three simulated providers fail as real ones do, while a few hundred calls go on."""
