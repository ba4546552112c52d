"""Shared helpers of the acceptance script's tests."""

import json
from collections.abc import Mapping
from typing import Any

from accept.machine import Facts
from accept.outcome import Outcome, Result
from accept.records import Answer

DONE = Answer(0, "", "")
FACTS = Facts(
    uid=1000,
    user="jane",
    home="/var/home/jane",
    name="aurora.lan",
    root=True,
    selinux="enforcing",
    boot="one",
    tools=frozenset({"ostree"}),
    shown={"os": "Aurora 44", "kernel": "6.18", "machine": "x86_64", "image": "ostree"},
)
STATUS: Mapping[str, Any] = {
    "layout": "mount",
    "settings": {"STORE_LAYOUT": None},
    "packaged": {"nix": "/nix/store/abc-nix"},
    "daemon": {"program": "/nix/store/abc-nix/bin/nix"},
}


def as_json(value: object, code: int = 0) -> Answer:
    """Return the answer of a command that prints ``value`` as JSON."""
    return Answer(code, json.dumps(value), "")


def is_red(outcome: Outcome, said: str) -> bool:
    """Return whether an outcome is red, contains ``said``, and names a command."""
    return outcome.result is Result.FAILED and said in outcome.detail and bool(outcome.next)
