"""The kind of host, Fedora's packages of Nix on it, and SELinux labels."""

import json
import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from nix_aurora_host import paths
from nix_aurora_host.gather.closure import Closure
from nix_aurora_host.system import NOT_STARTED, read, run

_IMAGE_HOST = "/usr/libexec/nix-aurora/image-host"
_ENFORCE = "/sys/fs/selinux/enforce"


@dataclass(frozen=True, slots=True)
class Host:
    """The kind of host.

    ``image`` means that it boots an image, ``ostree`` that ostree deployed the image, ``layered``
    that rpm-ostree added our package to an image without it.
    """

    image: bool
    ostree: bool
    layered: bool
    root_writable: bool


@dataclass(frozen=True, slots=True)
class Foreign:
    """Fedora's packages of Nix; former/ finds the traces of other installers."""

    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """An SELinux context, and the one that the policy defines."""

    path: str
    context: str | None
    wanted: str | None


def gather_host(*, ask_rpm_ostree: bool) -> Host:
    """Return the kind of host; ``ask_rpm_ostree`` finds out about layering, which is slow."""
    ostree = Path("/run/ostree-booted").exists()
    return Host(
        image=run([_IMAGE_HOST]).code == 0,
        ostree=ostree,
        layered=ostree and ask_rpm_ostree and _is_layered(),
        root_writable=not os.statvfs("/").f_flag & os.ST_RDONLY,
    )


def _is_layered() -> bool:
    outcome = run(["rpm-ostree", "status", "--booted", "--json"], timeout=60)
    return parse_layered(outcome.stdout)


def parse_layered(text: str) -> bool:
    """Return whether the booted deployment layers our package, from rpm-ostree status --json."""
    try:
        deployments = json.loads(text)["deployments"]
        requested = [
            name
            for deployment in deployments
            if deployment.get("booted")
            for key in ("requested-packages", "requested-local-packages")
            for name in deployment.get(key) or ()
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False  # without rpm-ostree, the package is part of the image
    return any(name == "nix-aurora" or str(name).startswith("nix-aurora-") for name in requested)


def gather_foreign() -> Foreign:
    """Find Fedora's packages of Nix."""
    fedora = (read(paths.FEDORA_PACKAGES) or "").split()
    outcome = run(["rpm", "-q", "--queryformat", "%{NAME}\\n", *fedora])
    return Foreign(
        packages=parse_packages(outcome.stdout, fedora) if outcome.code != NOT_STARTED else (),
    )


def parse_packages(text: str, wanted: Collection[str]) -> tuple[str, ...]:
    """Return the packages in ``wanted`` that are installed, from the names that rpm -q prints."""
    return tuple(line for line in text.splitlines() if line in wanted)


def gather_labels(closure: Closure, listening: frozenset[str]) -> tuple[Label, ...] | None:
    """Return the labels that matter, with those of the policy; None without SELinux."""
    if read(_ENFORCE) is None:
        return None
    looked_at = [
        "/",
        paths.BASE,
        paths.STORE,
        paths.physical(closure.nix),  # a sample for all files in it
        *(path for path in paths.SOCKETS if path in listening),
    ]
    wanted = parse_contexts(run(["matchpathcon", *looked_at]).stdout, looked_at)
    return tuple(Label(path, _context(path), wanted.get(path)) for path in looked_at)


def parse_contexts(text: str, looked_at: Sequence[str]) -> dict[str, str]:
    """Parse the output of matchpathcon: a path, a tab, a context."""
    pairs = (line.partition("\t") for line in text.splitlines())
    return {path: context.strip() for path, tab, context in pairs if tab and path in looked_at}


def _context(path: str) -> str | None:
    try:
        label = os.getxattr(path, "security.selinux", follow_symlinks=False)
    except OSError:
        return None
    return label.rstrip(b"\0").decode(errors="replace")
