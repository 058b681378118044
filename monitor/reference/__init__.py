"""The reference as a worker reads it: its rows, its roles, and its digests, which are stored as files."""
