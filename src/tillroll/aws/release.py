"""Which version of the functions is in force, and going back to an earlier one: an alias is pointed at another version.

Nothing is built or deployed: an alias changes at once, and both functions' mapping, schedule and callers go by it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from tillroll.aws.errors import AwsError, explained

if TYPE_CHECKING:
    from collections.abc import Mapping

    import boto3

ALIAS: Final = "live"
_LATEST: Final = "$LATEST"  # what Lambda calls the code of now, which is no published version
_FUNCTIONS: Final = ("TakeBatchFunction", "FoldFunction")  # of a stack's outputs


class Version(NamedTuple):
    """A version of a function."""

    number: int | None  # None for the code of now, which somebody has pointed the alias at by hand
    package: str  # the SHA-256 of its code
    published_at: str

    @property
    def name(self) -> str:
        """What Lambda calls it."""
        return _LATEST if self.number is None else str(self.number)

    def is_before(self, other: Version) -> bool:
        """Tell whether it was published before another: the code of now comes after all."""
        return self.number is not None and (other.number is None or self.number < other.number)


class Move(NamedTuple):
    """A function whose alias goes from one version to another."""

    function: str
    before: Version
    after: Version


def rollback(session: boto3.Session, outputs: Mapping[str, str]) -> list[Move]:
    """Point both functions at the newest versions of the package before the one that is in force; return what moved.

    A version has its settings in it: those of its time come back too, the freshness among them.

    Raises:
        AwsError: there is no earlier package, or it may not be done.
    """
    functions = _look(session, outputs)
    now, versions = functions[outputs[_FUNCTIONS[0]]]
    earlier = [each for each in versions if each.is_before(now) and each.package != now.package]
    if not earlier:
        remedy = "Check out the release that is wanted, and deploy it"
        raise AwsError(f"there is no package before version {now.name} of {outputs[_FUNCTIONS[0]]}", remedy)
    package = max(earlier).package
    moves = []
    for name, (current, known) in functions.items():
        of_package = [each for each in known if each.package == package]
        if not of_package:
            raise AwsError(f"{name} has no version of the earlier package", "Deploy the release that is wanted")
        moves.append(Move(name, current, max(of_package)))
    return _move(session, moves)


def undo(session: boto3.Session, outputs: Mapping[str, str]) -> list[Move]:
    """Point both functions at their newest versions; return what moved."""
    functions = _look(session, outputs)
    moves = [Move(name, now, max(versions)) for name, (now, versions) in functions.items()]
    return _move(session, [move for move in moves if move.before.number != move.after.number])


def is_rolled_back(session: boto3.Session, outputs: Mapping[str, str]) -> bool:
    """Tell whether a function is not at its newest version, which deploying the same package again does not change."""
    return any(now.number != max(versions).number for now, versions in _look(session, outputs).values())


def _look(session: boto3.Session, outputs: Mapping[str, str]) -> dict[str, tuple[Version, list[Version]]]:
    """Return each function's version in force, and all that are published."""
    client: Any = session.client("lambda")
    found = {}
    with explained("looking for the functions' versions"):
        for name in (outputs[each] for each in _FUNCTIONS):
            active = client.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
            pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
            versions = {each["Version"]: _version(each) for page in pages for each in page["Versions"]}
            published = [each for each in versions.values() if each.number is not None]
            if not published:
                raise AwsError(f"{name} has no published version", "Deploy the release that is wanted")
            found[name] = versions[active], published
    return found


def _version(told: Mapping[str, Any]) -> Version:
    number = None if told["Version"] == _LATEST else int(told["Version"])
    return Version(number, told["CodeSha256"], told["LastModified"])


def _move(session: boto3.Session, moves: list[Move]) -> list[Move]:
    client: Any = session.client("lambda")
    for move in moves:
        with explained(f"pointing {move.function} at version {move.after.name}"):
            client.update_alias(FunctionName=move.function, Name=ALIAS, FunctionVersion=move.after.name)
    return moves
