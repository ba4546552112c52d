"""Check the status of rpm-ostree, bootc and ostree, and that they look for an upgrade."""

from collections.abc import Iterator
from dataclasses import dataclass

from accept.checks.system import NEEDS_ROOT
from accept.machine import SLOW, Machine
from accept.outcome import Outcome, failed, not_shown, ok
from accept.records import LONGEST, Answer, Records, entries, parse_object, part
from nix_aurora.text import printable

NOT_ASKED = "not asked for: {}"
_UNCHANGED = 77  # rpm-ostree's exit code if there is no upgrade


@dataclass(frozen=True, slots=True)
class Deployments:
    """The deployments that ``ostree admin status`` lists, in the order of the boot menu."""

    names: tuple[str, ...]
    booted: int | None
    staged: bool

    @classmethod
    def of(cls, seen: Records) -> "Deployments":
        """Parse the deployments in the output of deployments.sh."""
        names: list[str] = []
        booted = None
        for line in seen.all("line"):
            words = line.removeprefix("* ").split()
            # A line with a stateroot and CHECKSUM.SERIAL is a deployment.
            checksum, _, serial = (words[1] if len(words) > 1 else "").partition(".")
            if len(checksum) == 64 and serial.isdecimal():
                booted = len(names) if line.startswith("* ") else booted
                names.append(words[1])
        return cls(tuple(names), booted, seen.get("staged") == "yes")

    @property
    def current(self) -> str:
        """Return the name of the booted deployment, "" if there is none."""
        return "" if self.booted is None else self.names[self.booted]


def look(machine: Machine) -> Deployments:
    """Return the deployments of the host, queried as root."""
    return Deployments.of(machine.records("deployments", root=True))


def check_deployments(machine: Machine) -> Iterator[Outcome]:
    """Check that the tools of an image host work."""
    tools, root = machine.facts.tools, machine.facts.root
    if "rpm-ostree" in tools:
        yield judge_rpm_ostree(machine.run("rpm-ostree status --json"))
    else:
        yield not_shown("rpm-ostree", "this host has no rpm-ostree")
    if "bootc" not in tools:
        yield not_shown("bootc", "this host has no bootc")
    elif not root:
        yield not_shown("bootc", NEEDS_ROOT)
    else:
        yield judge_bootc(machine.run("bootc status --json", root=True))
    if "ostree" not in tools or machine.facts.shown.get("image") != "ostree":
        yield not_shown("ostree", "this host was not booted by ostree")
    elif not root:
        yield not_shown("ostree", NEEDS_ROOT)
    else:
        yield judge_ostree(look(machine))


def judge_rpm_ostree(answer: Answer) -> Outcome:
    """Judge ``rpm-ostree status --json``."""
    report = parse_object(answer)
    if answer.code != 0 or report is None:
        detail = f"rpm-ostree status: {answer.complaint}"
        return failed("rpm-ostree", detail, "journalctl -b -u rpm-ostreed")
    deployments = [one for one in entries(report.get("deployments")) if isinstance(one, dict)]
    booted = next((one for one in deployments if one.get("booted")), None)
    if booted is None:
        return failed("rpm-ostree", "rpm-ostree knows no booted deployment", "rpm-ostree status")
    layered = [
        str(name)
        for kind in ("requested-packages", "requested-local-packages")
        for name in entries(booted.get(kind))
    ]
    how = f"layered: {', '.join(layered)}" if layered else "nothing is layered"
    return ok("rpm-ostree", printable(f"booted {booted.get('version')}; {how}", LONGEST))


def judge_bootc(answer: Answer) -> Outcome:
    """Judge ``bootc status --json``."""
    report = parse_object(answer)
    if answer.code != 0 or report is None:
        return failed("bootc", f"bootc status: {answer.complaint}", "sudo bootc status")
    booted = part(report, "status", "booted")
    if booted is None:
        return failed("bootc", "bootc knows no booted deployment", "sudo bootc status")
    image = part(booted, "image", "image", "image") or "no image, but local changes"
    return ok("bootc", printable(f"booted {image}", LONGEST))


def judge_ostree(deployments: Deployments) -> Outcome:
    """Judge ``ostree admin status``."""
    if not deployments.current:
        return failed("ostree", "ostree knows no booted deployment", "ostree admin status")
    count = len(deployments.names)
    return ok("ostree", f"booted {deployments.current[:12]}, one of {count}")


def check_upgrade(machine: Machine) -> Iterator[Outcome]:
    """Check that the host can look for an upgrade; install nothing."""
    tools = machine.facts.tools
    command = next(
        (f"{tool} upgrade --check" for tool in ("rpm-ostree", "bootc") if tool in tools), None
    )
    if command is None:
        yield not_shown("upgrade", "this host has neither rpm-ostree nor bootc")
    elif not machine.facts.root:
        yield not_shown("upgrade", NEEDS_ROOT)
    else:
        answer = machine.run(command, root=True, limit=SLOW)
        if answer.code in {0, _UNCHANGED}:
            found = answer.code == 0 and "No update" not in answer.stdout
            yield ok("upgrade", f"{command}: {'there is one' if found else 'there is none'}")
        else:
            yield failed("upgrade", f"{command}: {answer.complaint}", f"sudo {command}")
