"""Performance on labelled rows: metrics, confidence intervals, segments, rates of groups, label delay."""
