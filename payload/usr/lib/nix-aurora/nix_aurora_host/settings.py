"""/etc/nix-aurora.conf: what it says now, and edits of it.

settings.bash is the only parser of the file. This module asks it, through `layout --settings`.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass

from nix_aurora_host import paths, replace
from nix_aurora_host.system import run
from nix_aurora_host.text import command, printable

_COMMAND = ["/usr/libexec/nix-aurora/layout", "--settings"]
_NAMESPACE = "STORE_LAYOUT=namespace\n"
_DAYS = 30  # where `layout --settings` does not answer


@dataclass(frozen=True, slots=True)
class Fault:
    """A line of /etc/nix-aurora.conf that cannot be understood, and why; 0 is the whole file."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """/etc/nix-aurora.conf: the layout asked for, line and value of each STORE_LAYOUT, faults.

    ``unread`` means that this user may not read it. ``days`` is how long generations stay.
    """

    layout: str = "auto"
    assigned: tuple[tuple[int, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    unread: bool = False
    days: int = _DAYS


def gather_settings_file() -> SettingsFile:
    """Return what the next boot will read in the file."""
    return parse(run(_COMMAND).stdout)


def parse(output: str) -> SettingsFile:
    """Parse what `layout --settings` prints: lines of fields that are separated by TABs."""
    layout, unread, days = "auto", False, _DAYS
    assigned: list[tuple[int, str]] = []
    faults: list[Fault] = []
    for line in output.split("\n"):  # no other character ends a line of the file
        kind, *fields = line.split("\t", 3)
        if kind == "layout":
            layout = fields[0]
        elif kind == "unread":
            unread = True
        elif kind == "days":
            days = int(fields[0])
        elif kind == "set" and fields[1] == "STORE_LAYOUT":
            assigned.append((int(fields[0]), fields[2]))
        elif kind == "fault":
            faults.append(Fault(int(fields[0]), "\t".join(fields[1:])))
    return SettingsFile(layout, tuple(assigned), tuple(faults), unread, days)


def describe_fault(fault: Fault) -> str:
    """Return what is wrong with the file, fit for a terminal."""
    place = f"line {fault.line}: " if fault.line else ""
    return f"cannot understand {paths.SETTINGS}: {place}{printable(fault.reason)}"


def comment_out(lines: Iterable[int]) -> str:
    """Return the command that makes comments of lines of the file, by their numbers."""
    script = ";".join(f"{line}s/^/#/" for line in lines)
    return command(["sudo", "sed", "--in-place", script, paths.SETTINGS])


def with_namespace(text: bytes) -> bytes:
    """Return the file's ``text`` with a last line that asks for the namespace layout."""
    newline = b"" if not text or text.endswith(b"\n") else b"\n"
    return text + newline + _NAMESPACE.encode()


def without_namespace(text: bytes, settings: SettingsFile) -> bytes:
    """Return the file's ``text`` without the lines that ask for the namespace layout."""
    dropped = {number for number, layout in settings.assigned if layout == "namespace"}
    lines = io.BytesIO(text).readlines()  # as the parser counts them: only LF ends a line
    return b"".join(line for number, line in enumerate(lines, start=1) if number not in dropped)


def layout_without_namespace(settings: SettingsFile) -> str:
    """Return the layout that is asked for once the lines with namespace are gone."""
    left = [layout for _, layout in settings.assigned if layout != "namespace"]
    return left[-1] if left else "auto"


def ask_for_namespace() -> None:
    """Write into the file that no boot makes a /nix, unless it says so already."""
    settings = gather_settings_file()
    if settings.layout in {"auto", "mount"}:  # no other layout has one
        replace.edit(paths.SETTINGS, with_namespace)


def ask_no_more() -> None:
    """Remove what ask_for_namespace() has written."""
    settings = gather_settings_file()
    if any(layout == "namespace" for _, layout in settings.assigned):
        replace.edit(paths.SETTINGS, lambda text: without_namespace(text, settings))
