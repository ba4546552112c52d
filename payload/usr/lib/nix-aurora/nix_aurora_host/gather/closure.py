"""The packaged closure: its description, and whether its files match the description."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from nix_aurora_host import paths
from nix_aurora_host.database import nar
from nix_aurora_host.errors import CommandError
from nix_aurora_host.importer.closure import closure_id
from nix_aurora_host.importer.closure import parse_closure as parse_description
from nix_aurora_host.importer.workers import each
from nix_aurora_host.system import names, read

_SCHEMA = {"CLOSURE_ID": "id", "CLOSURE_VERSION": "version", "CLOSURE_SYSTEM": "system"}
_SCHEMA |= {"CLOSURE_NIX": "nix", "CLOSURE_CACERT": "cacert", "CLOSURE_PROFILE": "profile"}
_SCHEMA |= {"CLOSURE_MANUAL": "manual"}


@dataclass(frozen=True, slots=True)
class Closure:
    """The packaged Nix; ``paths`` are store paths.

    ``contents`` has the SHA-256 and size in bytes of each path's NAR, by the path's name.
    ``accepted`` are the security advisories that apply, and that the builder accepted.
    """

    id: str
    version: str
    system: str
    nix: str
    cacert: str
    paths: tuple[str, ...]
    contents: Mapping[str, tuple[bytes, int]] = field(default_factory=dict)
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Packaged:
    """The package's own files that do not match closure.json.

    ``damaged`` maps the names of damaged store paths to the reasons. ``foreign`` are other files
    beside the store paths, ``differing`` the names of values in closure.env, which scripts read.
    ``described`` is false if the id in closure.json does not match its content.
    """

    damaged: Mapping[str, str] = field(default_factory=dict)
    foreign: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()
    described: bool = True

    @property
    def whole(self) -> bool:
        """Return whether all of the package is intact."""
        return self.described and not (self.damaged or self.foreign or self.differing)


def gather_closure() -> Closure:
    """Read closure.json; raise CommandError if the package is damaged."""
    try:
        return parse_closure(read(paths.DESCRIPTION) or "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CommandError(
            f"cannot read the package: {paths.DESCRIPTION}: expected the closure's description, "
            f"got {error!r}",
            "rpm --verify nix-aurora",
        ) from error


def parse_closure(text: str) -> Closure:
    """Parse closure.json; raise ValueError, KeyError, TypeError or AttributeError."""
    described = parse_description(text)
    content = json.loads(text)
    return Closure(
        id=described.id,
        version=described.version,
        system=content["system"],
        nix=described.path(described.nix),
        cacert=described.path(described.cacert),
        paths=tuple(described.path(name) for name in sorted(described.paths)),
        contents={name: (info.digest, info.size) for name, info in described.paths.items()},
        accepted=tuple(map(str, content.get("acceptedAdvisories", ()))),
    )


def gather_packaged(closure: Closure) -> Packaged:
    """Hash the packaged store paths; this is the slow part of doctor, some tenths of a second."""
    text = read(paths.DESCRIPTION) or ""
    there = names(paths.PACKAGED_STORE) or ()
    return Packaged(
        find_damaged_paths(closure),
        tuple(name for name in there if name not in closure.contents),
        find_differing(parse_environment(read(paths.ENVIRONMENT) or ""), json.loads(text)),
        closure_id(parse_description(text)) == closure.id,
    )


def find_damaged_paths(closure: Closure) -> dict[str, str]:
    """Return the packaged store paths that do not match closure.json, each with the reason."""
    damaged = {}

    def check(name: str) -> None:
        try:
            nar.verify(paths.PACKAGED_STORE, name, *closure.contents[name])
        except nar.ContentError as error:
            damaged[name] = str(error)
        except OSError as error:  # the package contains no store
            damaged[name] = error.strerror or str(error)

    each(check, closure.contents)
    return dict(sorted(damaged.items()))


def parse_environment(text: str) -> dict[str, str]:
    """Parse closure.env: KEY=VALUE lines."""
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def find_differing(
    environment: Mapping[str, str], description: Mapping[str, object]
) -> tuple[str, ...]:
    """Return the names of the values in closure.env that contradict closure.json."""
    return tuple(
        variable
        for variable, key in _SCHEMA.items()
        if environment.get(variable) != (description[key] or "")
    )
