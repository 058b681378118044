"""What driftd costs, measured: `make bench`, or `python -m benchmarks [section …]`. Nothing is written."""
