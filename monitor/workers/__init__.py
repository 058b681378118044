"""Child processes that read and measure; JSON lines over pipes."""
