"""The reference in a worker: its rows, its roles, and its digests kept as files."""
