"""The command line: parse, call one use case, render."""

import gc

# What a command loads stays, and rows by the thousand are in no cycle: looking for garbage as often as Python does by
# itself takes a twentieth of a command's start.
gc.set_threshold(20_000)
