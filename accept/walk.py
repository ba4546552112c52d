"""Run the checks in order, skip those whose requirements failed, and handle a lost host."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from accept.checks import deployments, nix, profile, selinux, system
from accept.connection import LateError, LostError
from accept.machine import Machine
from accept.outcome import Outcome, Result, failed, not_shown
from nix_aurora.errors import ToolError

Check = Callable[[Machine], Iterator[Outcome]]


@dataclass(frozen=True, slots=True)
class Step:
    """A check, the promises that it checks, and those that must hold before it can."""

    ids: tuple[str, ...]
    check: Check
    needs: tuple[str, ...] = ("package",)


BASIC = (
    Step(("package",), system.check_package, ()),
    Step(("layout", "read-only"), system.check_layout),
    Step(("units", "system"), system.check_units),
    Step(("users",), system.check_users),
    Step(("doctor", "doctor-root"), nix.check_doctor),
    Step(("daemon",), nix.check_daemon),
    Step(("build",), nix.check_build, ("daemon",)),
)
"""The checks of each boot."""
MORE = (
    Step(("labels",), selinux.check_labels),
    Step(("denials",), selinux.check_denials),
    Step(("sudo",), nix.check_sudo, ("daemon",)),
    Step(profile.IDS, profile.check_profile, ("daemon",)),
    Step(("rpm-ostree", "bootc", "ostree"), deployments.check_deployments, ()),
)
"""The checks that run only once."""


def asked_steps(*, network: str | None, collect: bool) -> tuple[Step, ...]:
    """Return the optional steps that were requested; ``network`` is what to install."""
    install = Step(("network",), lambda machine: profile.check_network(machine, network or ""))
    return (
        replace(install, needs=("daemon",)) if network else _not_asked("network", "--network"),
        Step(("upgrade",), deployments.check_upgrade, ())
        if network
        else _not_asked("upgrade", "--network"),
        Step(("collect",), nix.check_collect, ("daemon",))
        if collect
        else _not_asked("collect", "--collect"),
    )


def _not_asked(identifier: str, option: str) -> Step:
    outcome = not_shown(identifier, deployments.NOT_ASKED.format(option))
    return Step((identifier,), lambda _: iter((outcome,)), ())


class Walk:
    """A run of checks on a machine; ``tell`` is called for each step and each outcome."""

    def __init__(self, machine: Machine, tell: Callable[[str], None]) -> None:
        self.machine = machine
        self.outcomes: list[Outcome] = []
        self.lost = False
        """Whether the connection was lost."""
        self.tell = tell

    def take(self, steps: Sequence[Step], boot: str = "") -> None:
        """Run steps, and record an outcome for each of their promises."""
        for step in steps:
            for outcome in self._outcomes(step, boot):
                self.add(outcome, boot)

    def add(self, outcome: Outcome, boot: str = "") -> None:
        """Record an outcome."""
        kept = replace(outcome, boot=boot)
        self.outcomes.append(kept)
        self.tell(f"{kept.name}: {kept.result}")

    def result(self, identifier: str, boot: str = "") -> Result | None:
        """Return the result of a promise in a boot; None if it has none yet."""
        found = (one for one in self.outcomes if (one.id, one.boot) == (identifier, boot))
        return next((outcome.result for outcome in found), None)

    def _outcomes(self, step: Step, boot: str) -> Iterator[Outcome]:
        missing = list(step.ids)
        for outcome in self._guarded(step, boot, missing):
            missing.remove(outcome.id)
            yield outcome
        if missing:
            raise RuntimeError(f"no outcome of {', '.join(missing)}")

    def _guarded(self, step: Step, boot: str, missing: Sequence[str]) -> Iterator[Outcome]:
        """Yield the outcomes of a step; after an error, also those for the rest of its promises."""
        if self.lost:
            yield from map(partial(not_shown, reason="the connection was lost"), step.ids)
            return
        for need in step.needs:
            if self.result(need, boot) is not Result.OK:
                yield from map(
                    partial(not_shown, reason=f"it needs {need}, which is not ok"), step.ids
                )
                return
        try:
            yield from step.check(self.machine)
        except (LostError, LateError, ToolError) as error:
            self.lost = isinstance(error, LostError)
            first, *others = missing
            yield failed(first, str(error), "ssh HOST")
            yield from map(partial(not_shown, reason=f"see {first}"), others)
