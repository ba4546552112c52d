"""Read and edit /etc/nix-aurora.conf.

settings.bash is the only parser of the file. This module runs it through `layout --settings`.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass

from nix_aurora_host import paths, replace
from nix_aurora_host.system import run
from nix_aurora_host.text import command, printable

_COMMAND = ["/usr/libexec/nix-aurora/layout", "--settings"]
_NAMESPACE = "STORE_LAYOUT=namespace\n"
_DAYS = 30  # if `layout --settings` fails


@dataclass(frozen=True, slots=True)
class Fault:
    """An invalid line of /etc/nix-aurora.conf, and the reason; line 0 is the whole file."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class SettingsFile:
    """/etc/nix-aurora.conf: the requested layout, line and value of each STORE_LAYOUT, faults.

    ``unread`` means that this user may not read the file. ``days`` is how long generations stay.
    """

    layout: str = "auto"
    assigned: tuple[tuple[int, str], ...] = ()
    faults: tuple[Fault, ...] = ()
    unread: bool = False
    days: int = _DAYS


def gather_settings_file() -> SettingsFile:
    """Return the settings that the next boot will read."""
    return parse(run(_COMMAND).stdout)


def parse(output: str) -> SettingsFile:
    """Parse the output of `layout --settings`: lines of fields that are separated by TABs."""
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
    """Return a description of a fault, safe for a terminal."""
    place = f"line {fault.line}: " if fault.line else ""
    return f"cannot understand {paths.SETTINGS}: {place}{printable(fault.reason)}"


def comment_out(lines: Iterable[int]) -> str:
    """Return the command that comments out lines of the file, by their numbers."""
    script = ";".join(f"{line}s/^/#/" for line in lines)
    return command(["sudo", "sed", "--in-place", script, paths.SETTINGS])


def with_namespace(text: bytes) -> bytes:
    """Return the file's ``text`` with a last line that requests the namespace layout."""
    newline = b"" if not text or text.endswith(b"\n") else b"\n"
    return text + newline + _NAMESPACE.encode()


def without_namespace(text: bytes, settings: SettingsFile) -> bytes:
    """Return the file's ``text`` without the lines that request the namespace layout."""
    dropped = {number for number, layout in settings.assigned if layout == "namespace"}
    lines = io.BytesIO(text).readlines()  # only LF ends a line, as for the parser
    return b"".join(line for number, line in enumerate(lines, start=1) if number not in dropped)


def layout_without_namespace(settings: SettingsFile) -> str:
    """Return the layout that is requested after the lines with namespace are removed."""
    left = [layout for _, layout in settings.assigned if layout != "namespace"]
    return left[-1] if left else "auto"


def ask_for_namespace() -> None:
    """Set the namespace layout in the file, unless it already prevents boots from creating /nix."""
    settings = gather_settings_file()
    if settings.layout in {"auto", "mount"}:  # only these layouts create /nix
        replace.edit(paths.SETTINGS, with_namespace)


def ask_no_more() -> None:
    """Remove the lines that ask_for_namespace() wrote."""
    settings = gather_settings_file()
    if any(layout == "namespace" for _, layout in settings.assigned):
        replace.edit(paths.SETTINGS, lambda text: without_namespace(text, settings))
