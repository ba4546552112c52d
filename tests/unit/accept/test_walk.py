"""Test the order of the acceptance script's checks, and its reboots."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import cast

import pytest

from accept.checks import profile
from accept.connection import LateError, LostError
from accept.machine import Machine
from accept.outcome import Outcome, Result, failed, ok
from accept.promises import PROMISES
from accept.reboots import IDS, walk_reboots
from accept.records import Answer, Records
from accept.walk import BASIC, MORE, Step, Walk, asked_steps
from tests.lint.shell import TOP
from tests.unit.accept.accepting import FACTS

# --- walk


def _walk(said: list[str] | None = None) -> Walk:
    heard: list[str] = [] if said is None else said
    return Walk(cast(Machine, None), heard.append)


def _step(*outcomes: Outcome, needs: tuple[str, ...] = ()) -> Step:
    return Step(tuple(outcome.id for outcome in outcomes), lambda _: iter(outcomes), needs)


def _raising(error: Exception, *ids: str) -> Step:
    def check(_: Machine) -> Iterator[Outcome]:
        yield ok(ids[0], "fine")
        raise error

    return Step(ids, check, ())


def _results(walk: Walk) -> dict[str, str]:
    return {outcome.name: str(outcome.result) for outcome in walk.outcomes}


def test_check_that_needs_a_broken_promise_is_not_shown() -> None:
    said: list[str] = []
    walk = _walk(said)
    steps = [
        _step(failed("daemon", "down", "sudo x")),
        _step(ok("build", "built"), needs=("daemon",)),
        _step(ok("users", "32"), needs=("build",)),
    ]
    walk.take(steps)
    assert _results(walk) == {"daemon": "failed", "build": "not shown", "users": "not shown"}
    assert walk.outcomes[1].detail == "it needs daemon, which is not ok"
    assert said == ["daemon: failed", "build: not shown", "users: not shown"]
    # The steps of another boot do not depend on earlier results.
    walk.take([_step(ok("daemon", "up")), _step(ok("build", "built"), needs=("daemon",))], "reboot")
    assert walk.outcomes[-1].name == "reboot/build"
    assert walk.outcomes[-1].result is Result.OK


def test_check_that_raises_fails_and_the_rest_continues() -> None:
    walk = _walk()
    walk.take(
        [_raising(LateError("no end"), "layout", "read-only", "units"), _step(ok("sudo", ""))]
    )
    assert _results(walk) == {
        "layout": "ok",
        "read-only": "failed",
        "units": "not shown",
        "sudo": "ok",
    }
    assert walk.outcomes[1].detail == "no end"


def test_nothing_is_shown_after_a_lost_connection() -> None:
    walk = _walk()
    walk.take([_raising(LostError("gone"), "layout", "units"), _step(ok("sudo", "works"))])
    assert _results(walk) == {"layout": "ok", "units": "failed", "sudo": "not shown"}
    assert walk.lost


def test_check_that_forgets_a_promise_is_an_internal_error() -> None:
    step = Step(("layout", "units"), lambda _: iter([ok("layout", "")]), ())
    with pytest.raises(RuntimeError, match="no outcome of units"):
        _walk().take([step])


def test_each_promise_has_one_check_and_a_page() -> None:
    steps = [*BASIC, *MORE, *asked_steps(network="a#b", collect=True)]
    ids = [identifier for step in steps for identifier in step.ids]
    assert sorted([*ids, *IDS]) == sorted(PROMISES)
    assert set(profile.IDS) <= set(ids)
    for promise in PROMISES.values():
        assert (TOP / promise.page).is_file()
        assert promise.text.endswith(".")


def test_optional_check_is_not_shown_unless_requested() -> None:
    walk = _walk()
    walk.take(asked_steps(network=None, collect=False))
    assert [(one.id, one.detail) for one in walk.outcomes] == [
        ("network", "not asked for: --network"),
        ("upgrade", "not asked for: --network"),
        ("collect", "not asked for: --collect"),
    ]


# --- reboots


class _Rebooting:
    """A host that boots the first of its deployments; ``breaks`` names a fault."""

    def __init__(self, *names: str, breaks: str = "", image: str = "ostree") -> None:
        self.facts = replace(FACTS, shown={"image": image})
        self.names = [f"{name * 64}.0" for name in names]
        self.booted = self.names[0]
        self.breaks = breaks
        self.commands: list[str] = []
        self.boots = 0
        self.waiting = False

    def records(self, name: str, *, root: bool) -> Records:
        assert (name, root) == ("deployments", True)
        lines = [f"line {'* ' if one == self.booted else ''}default {one}" for one in self.names]
        return Records("\n".join([*lines, *(["staged yes"] if self.waiting else [])]))

    def run(self, script: str, *, root: bool = False) -> Answer:
        if script.startswith("test"):
            return Answer(0, "", "")
        assert root
        self.commands.append(script)
        if self.breaks == f"lost {len(self.commands)}":
            raise LostError("gone")
        if self.breaks == "switch":
            return Answer(1, "", "refused")
        self.names[:2] = self.names[1::-1]
        return Answer(0, "", "")

    def reboot(self, limit: float) -> None:
        assert limit == 5
        self.boots += 1
        if self.breaks == f"boot {self.boots}":
            raise LateError("no answer")
        if self.breaks != f"same {self.boots}":
            self.booted = self.names[0]


def _reboot(
    machine: _Rebooting, monkeypatch: pytest.MonkeyPatch, *, asked: bool = True
) -> dict[str, str]:
    monkeypatch.setattr("accept.reboots.BASIC", (_step(ok("build", "built")),))
    walk = Walk(cast(Machine, machine), lambda _: None)
    walk_reboots(walk, asked=asked, limit=5)
    return _results(walk)


_GREEN = {"reboot": "ok", "rollback": "ok", "back": "ok"}


def test_reboot_rollback_and_return_are_green(monkeypatch: pytest.MonkeyPatch) -> None:
    host = _Rebooting("a", "b", "c")
    names = [*host.names]
    host.facts = replace(host.facts, tools=host.facts.tools | {"nix-aurora"})
    builds = {f"{boot}/build": "ok" for boot in IDS}
    assert _reboot(host, monkeypatch) == {**_GREEN, **builds}
    assert host.commands == ["ostree admin set-default 1"] * 2
    assert (host.names, host.booted) == (names, names[0])


def test_rollback_by_rpm_ostree_to_an_image_without_the_package_is_green(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = _Rebooting("a", "b")
    host.facts = replace(host.facts, tools=host.facts.tools | {"rpm-ostree"})
    results = _reboot(host, monkeypatch)
    assert results == {**_GREEN, "reboot/build": "ok", "back/build": "ok"}
    assert host.commands == ["rpm-ostree rollback"] * 2


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (_Rebooting("a"), {"reboot": "ok", "rollback": "not shown", "back": "not shown"}),
        (_Rebooting("a", image="no"), {"reboot": "ok", "rollback": "not shown"}),
        (_Rebooting("a", "b", breaks="boot 1"), {"reboot": "failed", "rollback": "not shown"}),
        (_Rebooting("a", "b", breaks="boot 2"), {"rollback": "failed", "back": "not shown"}),
        (_Rebooting("a", "b", breaks="boot 3"), {"rollback": "ok", "back": "failed"}),
        (_Rebooting("a", "b", breaks="switch"), {"rollback": "failed", "back": "not shown"}),
        (_Rebooting("a", "b", breaks="same 2"), {"rollback": "failed", "back": "not shown"}),
        (_Rebooting("a", "b", breaks="same 3"), {"rollback": "ok", "back": "failed"}),
        (_Rebooting("a", "b", breaks="lost 1"), {"rollback": "failed", "back": "not shown"}),
        (_Rebooting("a", "b", breaks="lost 2"), {"rollback": "ok", "back": "failed"}),
    ],
)
def test_each_fault_of_a_reboot_has_an_outcome(
    host: _Rebooting, expected: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = _reboot(host, monkeypatch)
    assert {name: results[name] for name in expected} == expected
    assert set(results) >= set(IDS)


def test_failed_rollback_is_undone(monkeypatch: pytest.MonkeyPatch) -> None:
    host = _Rebooting("a", "b", breaks="same 2")
    names = [*host.names]
    _reboot(host, monkeypatch)
    assert host.names == names


def _unready(change: Callable[[_Rebooting], None]) -> _Rebooting:
    host = _Rebooting("a", "b")
    change(host)
    return host


@pytest.mark.parametrize(
    "host",
    [
        _unready(lambda host: setattr(host, "waiting", True)),
        _unready(lambda host: setattr(host, "booted", host.names[1])),
        _unready(lambda host: setattr(host, "facts", replace(host.facts, root=False))),
    ],
)
def test_host_that_must_not_reboot_is_not_rebooted(
    host: _Rebooting, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _reboot(host, monkeypatch) == dict.fromkeys(IDS, "not shown")
    assert (host.boots, host.commands) == (0, [])


def test_reboots_need_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    host = _Rebooting("a", "b")
    assert _reboot(host, monkeypatch, asked=False) == dict.fromkeys(IDS, "not shown")
    assert host.boots == 0
