"""Tillroll: purchases in, exact reports out."""

__version__ = "0.1.0"
