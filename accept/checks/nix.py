"""Check doctor, the nix command, builds, and garbage collection."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from accept.checks.system import NEEDS_ROOT
from accept.machine import SLOW, Machine
from accept.outcome import Outcome, failed, not_shown, ok
from accept.records import LONGEST, Answer, Records, ending, entries, members, parse_object, part
from nix_aurora.text import printable

_DOCTOR = "sudo nix-aurora doctor"
_JOURNAL = "journalctl -b -u nix-daemon.service"
AS_ROOT = "HOST is root: name an ordinary user"
# These top-level directories do not exist in a sandbox.
_OUTSIDE = ("/usr", "/home", "/root", "/var", "/boot", "/sysroot")
_DELETED = re.compile(r"\d+ store paths? deleted\S*(?: [\d.]+ \w+ freed)?")
_VERSION = re.compile(r"^Version: (\S+)$", re.MULTILINE)


def check_doctor(machine: Machine) -> Iterator[Outcome]:
    """Check that doctor finds nothing, as the user and as root."""
    command = "nix-aurora doctor --json"
    if machine.facts.uid == 0:
        yield not_shown("doctor", AS_ROOT)
    else:
        yield judge_doctor("doctor", machine.run(command))
    if machine.facts.root:
        yield judge_doctor("doctor-root", machine.run(command, root=True))
    else:
        yield not_shown("doctor-root", NEEDS_ROOT)


def judge_doctor(identifier: str, answer: Answer) -> Outcome:
    """Judge the findings of the doctor."""
    report = parse_object(answer)
    if report is None:
        return failed(identifier, f"nix-aurora doctor --json: {answer.complaint}", _DOCTOR)
    findings = [finding for finding in entries(report.get("findings")) if isinstance(finding, dict)]
    faults = [finding for finding in findings if finding.get("severity") != "note"]
    if report.get("well") is True and not faults and answer.code == 0:
        notes = f"; {len(findings)} notes" if findings else ""
        return ok(identifier, f"all is well{notes}")
    said = "; ".join(
        f"{printable(str(fault.get('message')), LONGEST)} [{fault.get('id')}]" for fault in faults
    )
    fix = next((str(fault["fix"]) for fault in faults if fault.get("fix")), _DOCTOR)
    return failed(identifier, said or answer.complaint, fix)


def check_daemon(machine: Machine) -> Iterator[Outcome]:
    """Check that the command and the daemon run the packaged Nix."""
    client, daemon = machine.run("nix --version"), machine.run("nix store info 2>&1")
    yield judge_daemon(client, daemon, machine.state.status or {})


def judge_daemon(client: Answer, daemon: Answer, status: Mapping[str, Any]) -> Outcome:
    """Judge the versions of the command and the daemon."""
    if client.code != 0:
        return failed("daemon", f"nix --version: {client.complaint}", _DOCTOR)
    if daemon.code != 0:
        return failed("daemon", f"nix store info: {daemon.complaint}", _JOURNAL)
    found = _VERSION.search(daemon.stdout)
    said = client.stdout.strip()
    if found is None or found[1] not in said.split():
        got = found[1] if found else "no version"
        return failed("daemon", f"daemon: expected the version of {said}, got {got}", _JOURNAL)
    program, packaged = part(status, "daemon", "program"), part(status, "packaged", "nix")
    if program and packaged and not str(program).startswith(f"{packaged}/"):
        detail = f"the daemon runs {program}: expected a program of {packaged}"
        return failed("daemon", detail, "sudo systemctl restart nix-daemon.service")
    return ok("daemon", f"{said}, and the daemon has {found[1]}")


def check_sudo(machine: Machine) -> Iterator[Outcome]:
    """Check that root finds nix in the PATH of sudo."""
    if machine.facts.uid == 0:
        yield not_shown("sudo", AS_ROOT)
    elif not machine.facts.root:
        yield not_shown("sudo", NEEDS_ROOT)
    else:
        answer = machine.run("sudo -n nix store info 2>&1")
        if answer.code == 0:
            yield ok("sudo", "sudo nix store info answers")
        else:
            yield failed("sudo", f"sudo nix store info: {answer.complaint}", _DOCTOR)


def check_build(machine: Machine) -> Iterator[Outcome]:
    """Check that an ordinary user can build something new in a sandbox."""
    if machine.facts.uid == 0:
        yield not_shown("build", AS_ROOT)
        return
    seen = Records(machine.script("build", limit=SLOW).stdout)
    ids = members(part(machine.state.status, "users", "ids"))
    builders = {str(one) for one in ids.values()}
    yield judge_build(seen, builders, machine.facts.uid)


def judge_build(seen: Records, builders: Collection[str], uid: int) -> Outcome:
    """Judge a build by its root directory and the id of its user outside of the sandbox."""
    code, said = seen.coded("built")
    if code != 0:
        return failed("build", f"nix build: exit code {code}: {ending(said)}", _JOURNAL)
    tops, maps = seen.all("top"), [line.split() for line in seen.all("map")]
    if not tops or not all(len(words) == 3 for words in maps):
        return failed("build", "cannot read the build's result", _JOURNAL)
    outside = [top for top in _OUTSIDE if top in tops]
    if outside or len(maps) != 1 or maps[0][2] != "1":
        saw = f"the build saw {', '.join(outside)} of the host" if outside else "no user namespace"
        return failed("build", f"not in a sandbox: {saw}", _DOCTOR)
    builder = maps[0][1]
    if builder in {"0", str(uid)} or (builders and builder not in builders):
        return failed("build", f"the builder's id {builder} is not a build user's", _DOCTOR)
    return ok("build", f"in a sandbox, as the build user {builder}")


def check_collect(machine: Machine) -> Iterator[Outcome]:
    """Check that a collection deletes paths without a root, and nothing else."""
    yield judge_collect(Records(machine.script("collect", limit=SLOW).stdout))


def judge_collect(seen: Records) -> Outcome:
    """Judge the remaining paths after a collection."""
    code, said = seen.coded("collected")
    if code != 0:
        reason = printable(said or seen.coded("rooted")[1] or "nix-store --add failed", LONGEST)
        return failed("collect", f"nix-collect-garbage: exit code {code}: {reason}", _DOCTOR)
    if seen.coded("runs")[0] != 0:
        return failed("collect", "nix does not start any more", _DOCTOR)
    if seen.coded("kept")[0] != 0:
        return failed("collect", "a store path with a root was deleted", _DOCTOR)
    if seen.coded("garbage")[0] == 0:
        return failed("collect", "a store path without a root was kept", _JOURNAL)
    deleted = _DELETED.search(said)
    return ok("collect", deleted[0] if deleted else "the store path without a root was deleted")
