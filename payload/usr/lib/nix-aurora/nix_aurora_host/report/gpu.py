"""The output of ``nix-aurora gpu status``, and the part of status about it."""

from nix_aurora_host import paths
from nix_aurora_host.gpu.facts import Gpu
from nix_aurora_host.gpu.words import explain, find_faults
from nix_aurora_host.text import printable


def describe(gpu: Gpu) -> dict[str, object]:
    """Return the JSON value of the state; ``valid`` is null if this user cannot find it out."""
    return {
        "enabled": gpu.enabled,
        "installable": printable(gpu.installable, None) or None,
        "drivers": gpu.target,
        "link": None if gpu.link is None else printable(gpu.link, None),
        "linked": gpu.target is not None and gpu.link == gpu.target,
        "rooted": gpu.target is not None and gpu.target in gpu.kept,
        "valid": gpu.there and gpu.valid if gpu.target is not None else None,
        "kept": [printable(path, None) for path in gpu.kept],
        "others": [printable(other.path, None) for other in gpu.others],
        "nvidia": {"module": gpu.nvidia.module, "libraries": gpu.provides},
        "faults": [message for _, message in find_faults(gpu)],
    }


def render(gpu: Gpu) -> str:
    """Return the state as text for people."""
    return "".join(f"{line}\n" for line in render_lines(gpu))


def render_lines(gpu: Gpu) -> list[str]:
    """Return the lines about the state."""
    lines = [f"every boot  {'enabled' if gpu.enabled else 'not enabled'}"]
    if gpu.target is not None:
        known = {True: "there", False: "missing", None: "this user cannot see whether it is valid"}
        valid = False if not gpu.there else gpu.valid
        lines += [
            f"store path  {gpu.target}: {known[valid]}",
            f"root        {'kept' if gpu.target in gpu.kept else 'not kept: no root'}",
        ]
    shown = "nothing" if gpu.link is None else printable(gpu.link)
    if gpu.occupied:
        shown = "no link"
    lines.append(f"link        {paths.GPU_LINK}: {shown}")
    return [*lines, *(f"drivers     {line}" for line in explain(gpu))]
