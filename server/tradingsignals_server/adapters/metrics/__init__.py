"""Metrics in the format of Prometheus: the table of all, who counts them, and the port that serves them."""
