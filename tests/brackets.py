"""The bracket of an amount by the contract's own table, and by no code of the product."""


def bracket(cents: int) -> str:
    """Return it. A bound belongs to the bracket above it, save the last: 500.00 exactly is not more than 500."""
    if cents < 10_00:
        return "<10"
    if cents < 50_00:
        return "10-50"
    if cents < 100_00:
        return "50-100"
    return "100-500" if cents <= 500_00 else ">500"
