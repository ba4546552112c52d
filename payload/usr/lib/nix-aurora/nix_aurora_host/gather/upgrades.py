"""The source of newer packages on this host: its image, a repository, or files."""

import configparser
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from nix_aurora_host.importer.source import find_deployment
from nix_aurora_host.system import read, run
from nix_aurora_host.text import command

_IMAGE_HOST = "/usr/libexec/nix-aurora/image-host"
_OSTREE = "/run/ostree-booted"
_DAEMON = "/etc/rpm-ostreed.conf"
_NAME = "nix-aurora"


class Way(StrEnum):
    """The source of a newer package."""

    IMAGE = "image"
    REPOSITORY = "repository"  # layered by rpm-ostree
    FILES = "files"  # layered by rpm-ostree
    DNF = "dnf"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Upgrades:
    """The way in which this host is upgraded.

    ``container`` means that its image comes from a registry, so that bootc upgrades it. ``files``
    are the names of our packages that were layered from files. ``locked`` means that rpm-ostree is
    configured to refuse layered packages.
    """

    way: Way = Way.UNKNOWN
    container: bool = False
    files: tuple[str, ...] = ()
    locked: bool = False

    @property
    def layered(self) -> bool:
        """Return whether rpm-ostree added our package to an image without it."""
        return self.way in {Way.REPOSITORY, Way.FILES}


def gather_upgrades() -> Upgrades:
    """Return how this host is upgraded, from files only, as rpm-ostree takes seconds to answer."""
    if run([_IMAGE_HOST]).code != 0:
        return Upgrades(Way.DNF)
    if not Path(_OSTREE).exists():
        return Upgrades(Way.IMAGE, container=True)
    deployment = find_deployment()
    origin = read(f"{deployment}.origin") if deployment else None
    return parse_origin(origin or "", read(_DAEMON) or "")


def parse_origin(origin: str, daemon: str) -> Upgrades:
    """Return how a deployment is upgraded, from its origin and rpm-ostreed.conf.

    rpm-ostree `rust/src/origin.rs`: packages from files are ``SHA256:NAME-VERSION-RELEASE.ARCH``.
    """
    settings = _parse(origin)
    source = settings["origin"] if settings.has_section("origin") else {}
    if not source:
        return Upgrades()
    layered = settings["packages"] if settings.has_section("packages") else {}
    from_files = tuple(
        name
        for key in ("requested-local", "requested-local-fileoverride")
        for entry in _entries(layered.get(key))
        if _is_ours(name := entry.partition(":")[2].rsplit("-", 2)[0])
    )
    way = Way.IMAGE
    if _NAME in from_files:
        way = Way.FILES
    elif any(_is_ours(name) for name in _entries(layered.get("requested"))):
        way = Way.REPOSITORY
    locked = _parse(daemon).get("Daemon", "LockLayering", fallback=None)
    return Upgrades(
        way,
        container="container-image-reference" in source,
        files=from_files,
        locked=locked in {"true", "1"},
    )


def _parse(text: str) -> configparser.ConfigParser:
    """Return the groups of a GLib key file; nothing if ``text`` is not one."""
    parser = configparser.ConfigParser(
        delimiters=("=",), comment_prefixes=("#",), interpolation=None, strict=False
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign] # keys are case-sensitive
    try:
        parser.read_string(text)
    except configparser.Error:
        return configparser.ConfigParser(interpolation=None)
    return parser


def _entries(value: str | None) -> list[str]:
    return [entry for entry in (value or "").split(";") if entry]


def _is_ours(name: str) -> bool:
    return name == _NAME or name.startswith(f"{_NAME}-")


def upgrade_command(upgrades: Upgrades) -> str | None:
    """Return the command that upgrades the package; None if it is unknown."""
    match upgrades.way:
        case Way.IMAGE if upgrades.container:
            return "sudo bootc upgrade"
        case Way.IMAGE | Way.REPOSITORY:
            return "sudo rpm-ostree upgrade"
        case Way.FILES:
            former = command(word for name in upgrades.files for word in ("--uninstall", name))
            return f"sudo rpm-ostree install ./nix-aurora-*.rpm {former}"
        case Way.DNF:
            return "sudo dnf upgrade nix-aurora"
    return None
