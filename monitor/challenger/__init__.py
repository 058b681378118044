"""The rehearsal: a small model fitted on the log before a window, beside the model in service."""
