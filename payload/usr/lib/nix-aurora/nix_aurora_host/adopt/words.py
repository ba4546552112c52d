"""The messages of a takeover: before, after, and as JSON."""

from collections.abc import Iterator, Sequence

from nix_aurora_host import paths
from nix_aurora_host.adopt import fstab, leftovers
from nix_aurora_host.adopt.journal import Way
from nix_aurora_host.adopt.plan import Plan
from nix_aurora_host.adopt.run import Done
from nix_aurora_host.text import command, human, printable

_SHOWN = 20


def describe_plan(plan: Plan, *, check: bool) -> Iterator[str]:
    """Yield the lines that describe the plan."""
    former, state = plan.former, plan.former.state
    count = sum(state.profiles.values())
    yield f"Another Nix's store: {plan.name}: {len(former.rows)} store paths, {human(former.size)}"
    yield f"  users: {', '.join(state.people) or 'none with a directory of their own'}"
    profiles, channels = len(state.profiles), len(state.channels)
    yield f"  profiles: {profiles} with {count} generations; channels among them: {channels}"
    yield f"  other roots: {len(state.roots)}"
    yield from _describe_way(plan)
    if plan.way in {Way.MOVE, Way.COPY}:
        yield "This host's own store contains only the package. It is moved to"
        yield f"{paths.ASIDE}."
    if former.receipt and plan.lasting:
        yield "receipt.json is renamed, because the uninstaller that reads it deletes the store."
    if check:
        size = sum(row.size for row in (plan.copied if plan.way is Way.MERGE else former.rows))
        yield f"Every store path is compared with its recorded hash: {human(size)} to read."
    yield "Nix's daemon and its builds are stopped during the takeover."


def _describe_way(plan: Plan) -> Iterator[str]:
    if plan.way is Way.MOVE:
        yield f"It is moved to {paths.BASE}: it is on the same file system, and nothing is copied."
    elif plan.way is Way.COPY:
        yield f"It is copied to {paths.BASE}, and stays where it is. {_space(plan)}"
    elif plan.way is Way.MERGE:
        yield "Users keep packages in both stores. Only what this host's store lacks is copied:"
        yield f"  {len(plan.copied)} store paths. {_space(plan)} The other store is not changed."
    elif plan.line is not None:
        yield f"From the next boot on, {fstab.FILE} mounts {plan.line.source} on {paths.BASE}, and"
        yield "not on /nix."


def _space(plan: Plan) -> str:
    if plan.shared:
        return "Copies share their blocks with it, and take no space."
    return f"The copies take {human(plan.size)}."


def describe_done(done: Done, proposal: Sequence[str]) -> Iterator[str]:
    """Yield the lines that describe the result, and the remaining steps."""
    count = f" with {done.paths} store paths" if done.paths else ""
    yield f"adopt: done: the store in {done.source} was taken over{count}"
    if done.kept:
        yield "This host has different profiles or roots with these names. Those of the other store"
        yield f"were not copied. They are still in {done.source}/var/nix:"
        yield from _some(done.kept)
    if done.left_out:
        yield "Not copied, because they are special files or do not belong to root:"
        yield from _some([f"var/{name}" for name in done.left_out])
    if done.way is Way.MERGE:
        yield "To save space by linking equal files: sudo nix-store --optimise"
    if done.way is Way.MOUNT:
        yield "Reboot now. This host's former store stays below the new mount."
        yield "With SELinux, after the reboot: sudo nix-aurora relabel"
    if done.way in {Way.COPY, Way.MERGE}:
        yield "The original was not changed."
    if done.way in {Way.COPY, Way.MERGE} and done.lasting:
        words = ["sudo", "rm", "-r", f"{done.source}/store", f"{done.source}/var"]
        yield f"To delete it when you no longer need it: {command(words)}"
    if proposal:
        yield "The former Nix had these settings. To keep one, write it into"
        yield "/etc/nix/nix.custom.conf:"
        yield from (f"  {line}" for line in proposal)
    if done.way is not Way.MOUNT and (commands := leftovers.next_commands()):
        yield "/nix is not this store yet. Next:"
        yield from (f"  {line}" for line in commands)


def _some(names: Sequence[str]) -> Iterator[str]:
    yield from (f"  {printable(name)}" for name in names[:_SHOWN])
    if len(names) > _SHOWN:
        yield f"  and {len(names) - _SHOWN} more; to list all: nix-aurora adopt --json"


def to_json(plan: Plan | None, done: Done | None, proposal: Sequence[str]) -> dict[str, object]:
    """Return the output of --json: nix-aurora(1), "adopt"."""
    found: dict[str, object] = {"adopted": done is not None, "settings": list(proposal)}
    if plan is not None:
        state = plan.former.state
        found |= {
            "from": printable(plan.former.directory, None),
            "way": str(plan.way),
            "paths": len(plan.former.rows),
            "size": plan.former.size,
            "copied": len(plan.copied),
            "users": [printable(name) for name in state.people],
            "profiles": {printable(name): count for name, count in state.profiles.items()},
            "channels": [printable(name) for name in state.channels],
            "roots": len(state.roots),
        }
    if done is not None:
        found |= {
            "from": printable(done.source, None),
            "way": str(done.way),
            "kept": [printable(name, None) for name in done.kept],
            "left_out": [printable(name, None) for name in done.left_out],
        }
    return found
