"""Whether an address may be called, however it is written: one check for everything that opens a connection."""
