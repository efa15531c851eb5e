"""Run a program under the system call filter of a systemd unit: `python confined.py UNIT PROGRAM ARGUMENT...`.

systemd is not what started this machine, and cannot start the unit. So the filter is made here, of systemd's own sets
and with the library that it uses, and the program gets what the unit would give it.
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import subprocess
import sys
from pathlib import Path

_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_PR_SET_NO_NEW_PRIVS = 38


def lines_of(unit: Path, name: str) -> list[str]:
    """Return the values of a setting of a unit, in order."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


def calls_of(name: str) -> set[str]:
    """Return the system calls of a set of systemd's, by its name, or the one call that is named."""
    if not name.startswith("@"):
        return {name}
    told = subprocess.run(["systemd-analyze", "syscall-filter", name], check=True, capture_output=True, text=True)
    listed = [line.strip() for line in told.stdout.splitlines()[1:]]
    return {call for each in listed if each and not each.startswith("#") for call in calls_of(each)}


def allowed(unit: Path) -> set[str]:
    """Return the system calls that a unit allows."""
    found = calls_of("@default")
    for line in lines_of(unit, "SystemCallFilter"):
        named = {call for name in line.removeprefix("~").split() for call in calls_of(name)}
        found = found - named if line.startswith("~") else found | named
    return found


def confine(calls: set[str]) -> None:
    """Allow these system calls from now on; others are refused with EPERM."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ERRNO | errno.EPERM)))
    for call in sorted(calls):
        number = library.seccomp_syscall_resolve_name(call.encode())
        if number >= 0:  # else another architecture's
            assert library.seccomp_rule_add(context, ctypes.c_uint32(_ALLOW), number, 0) == 0, call
    assert ctypes.CDLL(None).prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert library.seccomp_load(context) == 0


if __name__ == "__main__":
    confine(allowed(Path(sys.argv[1])))
    os.execv(sys.argv[2], sys.argv[2:])
