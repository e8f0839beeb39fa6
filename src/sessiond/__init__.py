"""sessiond: the session layer for any application."""

__version__ = "0.1.0"
