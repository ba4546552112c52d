"""Test that check.yml runs the same as "make check": each tier is a separate job."""

import re
from collections.abc import Mapping
from typing import Any

from tests.lint.shell import TOP
from tests.lint.workflows import MAKE, load, make_calls

_ONE_MAKE = re.compile(r"(?:sudo (?:\w+=\S+ )*)?make [^|;&\n]*")
# These steps of check.yml prepare GitHub's machine; all others run make.
_PREPARATIONS = {
    "Let users create namespaces",
    "Let QEMU use KVM",
    "Let the cache action read what root downloaded",
}


def _jobs() -> Mapping[str, Any]:
    jobs = load(TOP / ".github/workflows/check.yml")["jobs"]
    assert isinstance(jobs, dict)
    return jobs


def _tier_steps() -> list[Mapping[str, Any]]:
    steps = _jobs()["tests"]["steps"]
    assert isinstance(steps, list)
    return steps


def _make_step() -> Mapping[str, Any]:
    (step,) = (step for step in _tier_steps() if MAKE.search(step.get("run", "")))
    return step


def _cache_step() -> Mapping[str, Any]:
    uses = "actions/cache@"
    (step,) = (step for step in _tier_steps() if step.get("uses", "").startswith(uses))
    return step


def _tiers() -> list[str]:
    match = re.search(r"^TIERS := (.*)$", (TOP / "Makefile").read_text(), re.MULTILINE)
    assert match
    return match[1].split()


def test_every_tier_of_make_check_has_a_job() -> None:
    jobs = _jobs()
    assert jobs["tests"]["strategy"]["matrix"] == {"tier": _tiers()}
    called = [words for words in make_calls({"tests": jobs["tests"]}) if words]
    assert called == [[f"test-{tier}"] for tier in _tiers()]
    assert "make check" in (TOP / ".ci/run").read_text().splitlines()


def test_a_release_needs_every_job_of_the_check() -> None:
    jobs = load(TOP / ".github/workflows/release.yml")["jobs"]
    assert jobs["check"] == {"uses": "./.github/workflows/check.yml"}
    assert all(job["needs"] == "check" for name, job in jobs.items() if name != "check")


def test_check_runs_only_make() -> None:
    for job in _jobs().values():
        for step in job["steps"]:
            if "run" in step and step.get("name") not in _PREPARATIONS:
                assert _ONE_MAKE.fullmatch(step["run"].strip()), step


def test_ostree_tier_has_kvm() -> None:
    """Without KVM, QEMU emulates the processor."""
    steps = _tier_steps()
    kvm = next(index for index, step in enumerate(steps) if step.get("name") == "Let QEMU use KVM")
    assert steps[kvm]["if"] == "matrix.tier == 'ostree'"
    assert 'KERNEL=="kvm"' in steps[kvm]["run"]
    assert kvm < steps.index(_make_step())


def test_cache_is_where_the_tests_look_for_it() -> None:
    home = _jobs()["tests"]["env"]["XDG_CACHE_HOME"]
    paths = _cache_step()["with"]["path"].replace("${{ env.XDG_CACHE_HOME }}", home)
    assert paths.split() == [f"{home}/nix-aurora/sample", f"{home}/nix-aurora/samples"]
    assert 'XDG_CACHE_HOME="$XDG_CACHE_HOME" NIX_AURORA_KVM=1 make' in _make_step()["run"]


def test_cache_key_covers_its_inputs() -> None:
    options = _cache_step()["with"]
    assert "${{ matrix.tier }}" in options["key"]  # a tier saves only the files that it needs
    assert "restore-keys" not in options
    match = re.search(r"hashFiles\((.*?)\)", options["key"])
    assert match
    patterns = re.findall(r"'([^']*)'", match[1])
    assert "sample/**" in patterns
    for pattern in patterns:
        assert any(TOP.glob(pattern)), pattern


def test_release_is_built_without_a_cache() -> None:
    """Files that another run saved cannot get into the packages."""
    uses = [step.get("uses", "") for step in _jobs()["packages"]["steps"]]
    assert uses
    assert not [action for action in uses if "cache" in action]
