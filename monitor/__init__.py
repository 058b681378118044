"""driftd watches deployed models and asks for a retrain when it pays."""

__version__ = "0.1.0"
