"""One check: look at the source, find the windows that are due, measure, decide, commit."""
