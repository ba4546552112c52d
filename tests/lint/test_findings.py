"""Each error and each warning of doctor has a booted host that has the fault and is cured of it."""

import re

from nix_aurora_host.checks.registry import KINDS
from nix_aurora_host.finding import Severity

from tests.lint.shell import TOP

# Kinds that no host test makes yet. An entry that is needless fails: the list only gets shorter.
NOT_YET = frozenset(
    {
        *("closure-damaged", "closure-incomplete", "daemon-outdated", "daemon-silent"),
        *("devbox-script", "devbox-version", "foreign-packages", "label"),
        *("nix-foreign-mount", "nix-foreign-store", "nix-link", "package-damaged"),
        *("profile-lost", "profile-stale", "space-scarce", "store-group"),
        *("store-noexec", "store-unreadable", "unit-missing", "unsafe-setting"),
        "users-unknown",
    }
)


def _named_by_host_tests() -> set[str]:
    texts = [path.read_text() for path in (TOP / "tests/host").glob("test_*.py")]
    return {
        kind for text in texts for kind in re.findall(r"[\"'\[]([a-z]+(?:-[a-z]+)+)\b", text)
    } | {kind for text in texts for kind in re.findall(r"[\"'\[](path|label):", text)}


def test_each_fault_has_a_scenario() -> None:
    serious = {kind for kind, severity in KINDS.items() if severity is not Severity.NOTE}
    assert serious - _named_by_host_tests() == NOT_YET
