"""Test that the acceptance script judges any output of a host."""

from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from accept.checks import deployments, nix, profile, selinux, system
from accept.checks.deployments import Deployments
from accept.machine import State
from accept.outcome import Outcome, Result
from accept.records import Answer, Records
from tests.unit.accept.accepting import as_json

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    *("well", "findings", "severity", "message", "fix", "id", "layout", "settings"),
                    *("deployments", "booted", "requested-packages", "version", "status", "image"),
                    *("root", "stopped", "daemon", "packaged", "nix", "program", "load", "active"),
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
_ANSWERS = st.fixed_dictionaries(
    {},
    optional={
        "well": st.booleans(),
        **dict.fromkeys(("findings", "deployments", "layout", "status", "root"), _VALUES),
    },
)
_LINES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *("state", "ours", "failed", "group", "user", "label", "kept", "denied", "added"),
                *("shell:x", "unit", "entry", "removed", "built", "top", "map", "collected"),
                *("line", "staged", "everywhere", "inside", "type", "options", "left"),
            ]
        ),
        st.sampled_from(["", "0 ", "1 x", "yes", "* a b"]) | st.text(max_size=30),
    ),
    max_size=12,
).map(lambda pairs: "\n".join(" ".join(pair) for pair in pairs))


def _judge_all(value: Any, text: str, code: int) -> Iterator[Outcome]:  # noqa: ANN401 - any JSON
    answer, seen = as_json(value, code), Records(text)
    mapping = value if isinstance(value, dict) else {}
    state = State(mapping, mapping)
    yield system.judge_package(answer, text)
    yield system.judge_layout(state, seen)
    yield system.judge_read_only(answer, seen)
    yield system.judge_units(seen, mapping, state.layout)
    yield system.judge_system(seen)
    yield system.judge_users(seen)
    yield selinux.judge_labels(seen)
    yield selinux.judge_denials(seen)
    yield nix.judge_doctor("doctor", answer)
    yield nix.judge_daemon(Answer(0, text, ""), Answer(0, text, ""), mapping)
    yield nix.judge_build(seen, set(), 1000)
    yield nix.judge_collect(seen)
    yield from profile.judge_profile(seen, state.layout, "t")
    yield profile.judge_network(seen, state.layout, "a#b")
    yield deployments.judge_rpm_ostree(answer)
    yield deployments.judge_bootc(answer)
    yield deployments.judge_ostree(Deployments.of(seen))


@settings(max_examples=300)
@given(_VALUES | _ANSWERS, _LINES, st.sampled_from([0, 1, 77]))
def test_any_output_of_a_host_is_judged(value: object, text: str, code: int) -> None:
    for outcome in _judge_all(value, text, code):
        assert outcome.detail
        assert (outcome.next is not None) == (outcome.result is Result.FAILED)
