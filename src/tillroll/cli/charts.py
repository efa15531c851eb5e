"""Charts in characters: bars, stacks and sparklines.

Where the output cannot show block characters, ASCII stands for them.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate

from rich.console import Console
from rich.table import Table
from rich.text import Text

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"
_ASCII_LEVELS = "_.:-=+*#"
COLOURS = ("blue", "cyan", "green", "yellow", "red", "magenta")
_LETTERS = "abcdef"
_SHADES = "░▒▓█▚▞"


def draws_blocks(console: Console) -> bool:
    """Tell whether the output can show block characters."""
    return console.encoding.lower().replace("-", "").startswith("utf")


def bar(value: int, largest: int, width: int, *, blocks: bool) -> str:
    """Return a bar as long as the value's part of the largest; a value above nothing shows at least a trace."""
    if not value or not largest:
        return ""
    if not blocks:
        return "#" * max(1, round(width * value / largest))
    whole, eighths = divmod(max(1, round(8 * width * value / largest)), 8)
    return _EIGHTHS[8] * whole + (_EIGHTHS[eighths] if eighths else "")


def sparkline(values: Sequence[int], *, blocks: bool) -> str:
    """Return one character a value, by its part of the largest; a blank for nothing at all."""
    levels = _LEVELS if blocks else _ASCII_LEVELS
    largest = max(values, default=0)
    return "".join(levels[min(7, 8 * value // (largest + 1))] if value else " " for value in values)


def squeezed(values: Sequence[int], width: int) -> list[int]:
    """Return at most `width` values, each the sum of some neighbours."""
    size = max(1, -(-len(values) // width))
    return [sum(values[start : start + size]) for start in range(0, len(values), size)]


def stack_marks(console: Console) -> str:
    """Return one character for each part of a stack: all alike where colours tell them apart."""
    if not draws_blocks(console):
        return _LETTERS
    return _SHADES if console.color_system is None else "█" * len(COLOURS)


def stack(parts: Mapping[str, int], names: Sequence[str], largest: int, width: int, marks: str) -> Text:
    """Return one bar of several parts, as long together as their part of the largest, each in its name's colour."""
    text = Text()
    if not largest:
        return text
    ends = [round(width * end / largest) for end in accumulate(parts.get(name, 0) for name in names)]
    for start, end, mark, colour in zip([0, *ends], ends, marks, COLOURS, strict=False):
        text.append(mark * (end - start), style=colour)
    return text


def legend(names: Sequence[str], marks: str) -> Text:
    """Return what the parts of stacks stand for."""
    text = Text()
    for name, mark, colour in zip(names, marks, COLOURS, strict=False):
        text.append(2 * mark, style=colour).append(f" {name}   ")
    return text


def grid(*justify: str) -> Table:
    """Return the table a chart is laid out in."""
    made = Table.grid(padding=(0, 2, 0, 0))
    for side in justify:
        made.add_column(justify="right" if side == "right" else "left", no_wrap=True)
    return made
