"""One contestant a file; each has ``REQUIRES``, what must be installed for it, and ``connect``."""
