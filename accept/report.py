"""Write the report: a table for people, and JSON for an issue."""

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from accept.machine import Facts
from accept.outcome import Outcome, Result
from accept.promises import PROMISES
from nix_aurora.text import printable

FORMAT = 1
"""The version of the JSON; it increases when a name in it changes its meaning."""
_LABELS = {Result.OK: "ok", Result.FAILED: "FAILED", Result.NOT_SHOWN: "not shown"}


@dataclass(frozen=True, slots=True)
class Report:
    """The results of a run: masked, with control characters escaped."""

    date: str
    host: Mapping[str, str]
    asked: Mapping[str, bool]
    outcomes: Sequence[Outcome] = field(default_factory=tuple)

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of outcomes of each result."""
        counted = Counter(outcome.result for outcome in self.outcomes)
        return {str(result): counted[result] for result in Result}


def make_report(
    date: str,
    facts: Facts,
    asked: Mapping[str, bool],
    outcomes: Sequence[Outcome],
    mask: Callable[[str], str],
) -> Report:
    """Return a report in which all text from the host is masked and safe for a terminal."""

    def shown(text: str) -> str:
        return printable(mask(text), limit=None)

    safe = [
        Outcome(
            id=one.id,
            result=one.result,
            detail=shown(one.detail),
            next=None if one.next is None else shown(one.next),
            boot=one.boot,
        )
        for one in outcomes
    ]
    return Report(date, {name: shown(value) for name, value in facts.shown.items()}, asked, safe)


def describe(report: Report) -> str:
    """Return the report as JSON."""
    described = {
        "format": FORMAT,
        "date": report.date,
        "host": dict(report.host),
        "asked": dict(report.asked),
        "counts": report.counts,
        "checks": [
            {
                "id": outcome.id,
                "boot": outcome.boot or None,
                "promised": PROMISES[outcome.id].text,
                "page": PROMISES[outcome.id].page,
                "result": str(outcome.result),
                "detail": outcome.detail,
                "next": outcome.next,
            }
            for outcome in report.outcomes
        ],
    }
    return json.dumps(described, indent=2, ensure_ascii=False) + "\n"


def render(report: Report, width: int = 100) -> str:
    """Return the report as a table of at most ``width`` columns if the words fit."""
    host = report.host
    system = ", ".join(filter(None, (host.get("os"), host.get("kernel"), host.get("machine"))))
    lines = [f"{report.date}  {system}", ""]
    name_width = max((len(outcome.name) for outcome in report.outcomes), default=0)
    for outcome in report.outcomes:
        head = f"{_LABELS[outcome.result]:<9}  {outcome.name:<{name_width}}  "
        lines += _hang(head, outcome.detail, width)
        if outcome.result is Result.FAILED:
            indent = " " * len(head)
            promise = PROMISES[outcome.id]
            lines += _hang(f"{indent}promised: ", f"{promise.text} ({promise.page})", width)
            lines.append(f"{indent}next: {outcome.next}")
    counts = ", ".join(f"{count} {name}" for name, count in report.counts.items())
    return "\n".join([*lines, "", f"{len(report.outcomes)} checks: {counts}"]) + "\n"


def _hang(head: str, text: str, width: int) -> list[str]:
    """Return ``head`` and ``text``, with the further lines of ``text`` indented below its first."""
    indent = " " * len(head)
    return textwrap.wrap(
        text,
        max(width, len(head) + 40),
        initial_indent=head,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [head.rstrip()]
