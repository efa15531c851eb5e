"""Ids that share the hash by which release 0.1.0 found names: it had no key, and each of its steps can be undone."""

from __future__ import annotations

import random
import struct
from typing import Final

MULTIPLIER: Final = 0x9E3779B97F4A7C15
WORD: Final = (1 << 64) - 1
INVERSE: Final = pow(MULTIPLIER, -1, 1 << 64)
SHIFT: Final = (1 << 62 | 1 << 30).to_bytes(8, "little")  # two bits that a step makes of one
BLOCKS: Final = 7


def step(state: int, word: bytes) -> int:
    state = (state ^ int.from_bytes(word, "little")) * MULTIPLIER & WORD
    return state ^ state >> 32


def old_hash(value: bytes) -> int:
    """Return the hash of an id of whole words."""
    state = MULTIPLIER * 2 & WORD ^ len(value)
    for start in range(0, len(value), 8):
        state = step(state, value[start : start + 8])
    return step(state, bytes(8))


def flipped(word: bytes, bits: bytes) -> bytes:
    return bytes(one ^ other for one, other in zip(word, bits, strict=True))


def colliding_ids(prefixes: int = 32) -> list[str]:
    """Return 128 times as many ids of 128 letters that share the hash of 0.1.0."""
    chance = random.Random(1)
    text = bytes(range(0x21, 0x7C))  # none is a bar
    begun = step(MULTIPLIER * 2 & WORD ^ 128, bytes(chance.choices(text, k=8)))
    target = begun ^ int.from_bytes(bytes(chance.choices(text, k=8)), "little")
    heads: dict[bytes, None] = {}
    while len(heads) < prefixes:
        first = bytes(chance.choices(text, k=8))
        second = struct.pack("<Q", step(MULTIPLIER * 2 & WORD ^ 128, first) ^ target)
        if all(byte in text for byte in second):
            heads[first + second] = None
    state, tails = step(target, bytes(8)), [b""]
    for _ in range(BLOCKS):
        state, pair = block(chance, state)
        tails = [tail + each for tail in tails for each in pair]
    return [(head + tail).decode() for head in heads for tail in tails]


def block(chance: random.Random, state: int) -> tuple[int, list[bytes]]:
    """Return two blocks of two words that lead from a state to the same one."""
    while True:
        one = bytes(chance.choices(b"abcdefgh", k=16))
        other = flipped(one[:8], (1 << 62).to_bytes(8, "little")) + flipped(one[8:], SHIFT)
        if step(step(state, one[:8]), one[8:]) == step(step(state, other[:8]), other[8:]):
            return step(step(state, one[:8]), one[8:]), [one, other]
