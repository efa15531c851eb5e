"""Say what a release brings: `python -m release.notes vN.N.N` prints its section of CHANGELOG.md.

Exits with 1, and says what to mend, where the tag is not the program's version or the changelog has no such section.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]


def notes(tag: str, version: str, changelog: str) -> str:
    """Return the section `## VERSION` without its heading. ValueError says what does not agree."""
    if tag != f"v{version}":
        msg = f"the tag is {tag}, and tillroll.__version__ is {version}: tag the commit that says so, v{version}"
        raise ValueError(msg)
    sections = re.split(r"(?m)^## ", changelog)[1:]
    for section in sections:
        heading, _, text = section.partition("\n")
        if heading.split()[:1] == [version] and text.strip():
            return text.strip() + "\n"
    msg = f"CHANGELOG.md has no section `## {version}` with text: rename `## Unreleased`"
    raise ValueError(msg)


def main(tag: str) -> int:
    """Print the notes of the release that the tag names."""
    source = (ROOT / "src" / "tillroll" / "__init__.py").read_text(encoding="utf-8")
    (version,) = re.findall(r'(?m)^__version__\b.*= "([^"]+)"', source)
    try:
        sys.stdout.write(notes(tag, version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
