"""Tillroll: purchases in, exact reports out."""

__version__ = "0.2.0"
