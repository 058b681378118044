"""The daemon's HTTP side: metrics, health, status; and, signed, what pipelines and registries tell."""
