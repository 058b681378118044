"""The service: its parts, its schedule, its signals, its words to systemd."""
