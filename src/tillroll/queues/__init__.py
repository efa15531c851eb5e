"""Queues: one file a technology."""
