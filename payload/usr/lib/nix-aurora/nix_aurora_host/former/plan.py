"""Select the traces to put aside, and describe them."""

from collections.abc import Callable, Collection, Iterable, Sequence

from nix_aurora_host.errors import USAGE, CommandError
from nix_aurora_host.former.facts import Cure, Former, Kind, Trace
from nix_aurora_host.text import printable

_DOES = {
    Cure.MOVE: "moved",
    Cure.CUT: "the block is removed, and a copy of the file kept",
    Cure.COMMENT: "the line becomes a comment, and a copy of the file is kept",
    Cure.UNMOUNT: "unmounted",
}


def select(
    former: Former, wanted: Sequence[str], was_put_aside: Callable[[str], bool]
) -> list[Trace]:
    """Return the traces at ``wanted``, and what belongs to them; all of them for no path.

    Raise CommandError for a path without a trace. A path that an earlier run has put aside, or
    unmounted from /nix, is skipped.
    """
    if not wanted:
        return list(former.traces)
    for path in wanted:
        if path != "/nix" and former.at(path) is None and not was_put_aside(path):
            raise CommandError(
                f"cannot set aside {printable(path)}: it does not belong to another Nix",
                "sudo nix-aurora set-aside --dry-run",
                code=USAGE,
            )
    chosen = [trace for trace in former.traces if trace.path in wanted]
    units = {trace.unit for trace in chosen if trace.kind is Kind.UNIT}
    mounting = any(trace.unit == "nix.mount" for trace in chosen)
    return [
        trace
        for trace in former.traces
        if trace in chosen
        or (trace.kind in {Kind.LINK, Kind.DROP_IN} and trace.unit in units)
        or (trace.kind is Kind.MOUNT and mounting)
    ]


def describe(traces: Iterable[Trace]) -> list[dict[str, object]]:
    """Return the traces in their JSON form."""
    return [
        {
            "path": printable(trace.path, None),
            "kind": str(trace.kind),
            "whose": trace.whose,
            "effect": printable(trace.effect, None),
            "lines": list(trace.lines),
            "done_to_it": _DOES[trace.cure],
        }
        for trace in traces
    ]


def render(traces: Collection[Trace]) -> list[str]:
    """Return a line for each trace: what it is, and what is done with it."""
    return [
        f"  {printable(trace.path, None)}: {trace.whose}: {printable(trace.effect)}: "
        f"{_DOES[trace.cure]}"
        for trace in traces
    ]


def describe_all(former: Former) -> dict[str, object]:
    """Return status's JSON about another Nix."""
    return {
        "traces": [
            {"path": trace.path, "kind": str(trace.kind), "whose": trace.whose}
            for trace in former.traces
        ],
        "stores": [store.path or store.source for store in former.stores],
    }


def render_all(former: Former) -> list[str]:
    """Return status's lines: nothing of another Nix, or a line for each thing."""
    lines = [f"{trace.path}: {trace.whose}: {trace.effect}" for trace in former.traces]
    lines += [f"a store: {store.path or store.source}" for store in former.stores]
    return [printable(line, None) for line in lines] or ["nothing of another Nix"]
