"""Check SELinux labels and denials."""

import re
from collections.abc import Iterator

from accept.checks.system import NEEDS_ROOT
from accept.machine import Machine
from accept.outcome import Outcome, failed, not_shown, ok
from accept.records import Records
from nix_aurora.text import printable

_OFF = "SELinux is off on this host"
_RELABEL = "sudo nix-aurora relabel --dry-run"
_AUSEARCH = "sudo ausearch --message avc --start boot"
# The store's type is bin_t. If the policy says something else, the module is missing.
_STORE, _STORE_TYPE = "/var/lib/nix/store", "bin_t"
# A denial is ours if it is about a path in the store or in /run, a name of ours, or a program of
# Nix.
_PATH = re.compile(r' path="?/(nix|var/lib/nix|run/nix)')
_NAME = re.compile(r' name="(nix|nix-aurora|nix-root|daemon-socket)"')
# systemd cannot create these if the module is missing.
_SOCKET = re.compile(
    r' name="socket" .*tcontext=\S+:(?:var_lib_t|bin_t):\S+ tclass=(?:sock|lnk)_file'
)
_PROGRAM = re.compile(r' (?:comm|exe)="[^"]*\bnix\b[^"]*"')
_STAMP = re.compile(r"audit\([^)]*\)|\b(?:pid|ino)=\d+")
_LONGEST = 160


def check_labels(machine: Machine) -> Iterator[Outcome]:
    """Check that the store and its sockets have the labels of the policy."""
    if machine.facts.selinux == "off":
        yield not_shown("labels", _OFF)
    elif "matchpathcon" not in machine.facts.tools:
        yield not_shown("labels", "this host has no matchpathcon, which knows the policy's labels")
    else:
        yield judge_labels(machine.records("labels"))


def judge_labels(seen: Records) -> Outcome:
    """Judge each path's context by the policy's; a line has both contexts before the path."""
    wrong, count = [], 0
    for line in seen.all("label"):
        context, _, rest = line.partition(" ")
        expected, _, path = rest.partition(" ")
        count += 1
        if path == _STORE and _type(expected) != _STORE_TYPE:
            detail = f"the policy has {_type(expected)} for {path}: the module is not loaded"
            return failed("labels", detail, "rpm -q nix-aurora-selinux")
        if _type(context) != _type(expected):
            wrong.append(f"{path}: expected {_type(expected)}, got {_type(context)}")
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        return failed("labels", "; ".join(wrong[:3]) + more, _RELABEL)
    if not count:
        return failed("labels", "no path of the store was found", "sudo nix-aurora doctor")
    return ok("labels", f"{count} paths have the policy's types")


def _type(context: str) -> str:
    parts = context.split(":")
    return parts[2] if len(parts) > 2 else context


def check_denials(machine: Machine) -> Iterator[Outcome]:
    """Check that nothing that concerns Nix was denied."""
    if machine.facts.selinux == "off":
        yield not_shown("denials", _OFF)
    elif not machine.facts.root:
        yield not_shown("denials", NEEDS_ROOT)
    else:
        yield judge_denials(machine.records("denials", root=True))


def judge_denials(seen: Records) -> Outcome:
    """Judge the denials of a boot; those of permissive domains are only counted."""
    if seen.get("kept") != "yes":
        return not_shown("denials", "this host keeps no audit records")
    ours = [line for line in seen.all("denied") if concerns_nix(line)]
    # The audit daemon and the journal may both have a record of one denial.
    denied = {_STAMP.sub("", _bare(line)): line for line in ours if "permissive=1" not in line}
    allowed = {_STAMP.sub("", _bare(line)) for line in ours if "permissive=1" in line}
    if denied:
        first = printable(_bare(next(iter(denied.values()))), _LONGEST)
        return failed("denials", f"{len(denied)} that concern Nix; the first: {first}", _AUSEARCH)
    note = f"; {len(allowed)} were allowed by a permissive domain" if allowed else ""
    return ok("denials", f"none that concerns Nix{note}")


def concerns_nix(line: str) -> bool:
    """Return whether a denial is about the store, our files, or a program of Nix."""
    return any(one.search(line) for one in (_PATH, _NAME, _PROGRAM, _SOCKET))


def _bare(line: str) -> str:
    """Return a denial without the text before it."""
    return line[max(line.find("avc:"), 0) :]
