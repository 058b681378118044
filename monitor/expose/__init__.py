"""What the daemon exposes: Prometheus metrics, the view for status page and API, the log."""
