"""Streams as files: `collector` reads a stream and keeps its rows in a `folder`, each once, whatever ends it."""
