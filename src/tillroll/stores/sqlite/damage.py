"""What a store says of bytes that are not what it wrote."""

from __future__ import annotations


class DamageError(ValueError):
    """Something in the file is not what was written there. Nothing is answered from it."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}. {remedy}")
        self.problem = problem
        self.remedy = remedy
