"""The log played through the same code: what would have fired, and which policy would have paid."""
