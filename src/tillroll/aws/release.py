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
_FUNCTIONS: Final = ("TakeBatchFunction", "FoldFunction")  # of a stack's outputs


class Version(NamedTuple):
    """A published version of a function."""

    number: int
    package: str  # the SHA-256 of its code
    published_at: str


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
    earlier = [each for each in versions if each.number < now.number and each.package != now.package]
    if not earlier:
        remedy = "Check out the release that is wanted, and deploy it"
        raise AwsError(f"there is no package before version {now.number} of {outputs[_FUNCTIONS[0]]}", remedy)
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
    """Return each function's version in force, and all that it has."""
    client: Any = session.client("lambda")
    found = {}
    with explained("looking for the functions' versions"):
        for name in (outputs[each] for each in _FUNCTIONS):
            number = int(client.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"])
            pages = client.get_paginator("list_versions_by_function").paginate(FunctionName=name)
            versions = [
                Version(int(each["Version"]), each["CodeSha256"], each["LastModified"])
                for page in pages
                for each in page["Versions"]
                if each["Version"] != "$LATEST"
            ]
            found[name] = next(each for each in versions if each.number == number), versions
    return found


def _move(session: boto3.Session, moves: list[Move]) -> list[Move]:
    client: Any = session.client("lambda")
    for move in moves:
        with explained(f"pointing {move.function} at version {move.after.number}"):
            client.update_alias(FunctionName=move.function, Name=ALIAS, FunctionVersion=str(move.after.number))
    return moves
