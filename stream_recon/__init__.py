"""Real-time reconciliation of two systems that should hold the same data."""

__version__ = "0.1.0"
