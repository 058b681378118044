"""Data quality: missing, unseen and out-of-range values, schema, rows, labels, staleness."""
