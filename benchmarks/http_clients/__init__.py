"""CPU per request of HTTP clients against one local server: ``python -m benchmarks.http_clients``."""
