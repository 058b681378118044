"""Thresholds that hold a stated false-alarm rate, and the false alarms to expect of a configuration."""
