"""`/metrics`: what is counted in Redis, for Prometheus."""
