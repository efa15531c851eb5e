"""Tillroll on AWS: the functions, their deployment, and what looks after them."""
