"""The rehearsal: a small model is fitted on the log before a window and compared with the model in service."""
