"""Load of one's own: purchases made from a seed, and a sender that measures the answers."""
