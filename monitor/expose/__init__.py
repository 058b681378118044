"""What others can see of the daemon: metrics, log, words to systemd."""
