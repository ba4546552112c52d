"""Parse the packaged closure's description, closure.json, and verify it by its own id."""

import hashlib
import json
from collections.abc import Mapping
from typing import NamedTuple

from nix_aurora_host import paths
from nix_aurora_host.database.hashes import parse_sha256, to_nix
from nix_aurora_host.errors import CommandError

# The command that restores the package's files depends on the host, and doctor knows it.
REINSTALL = "sudo nix-aurora doctor"
_PREFIX = "/nix/store/"
_ID_LENGTH = 32  # hex digits


class Info(NamedTuple):
    """A store path: SHA-256 and size in bytes of its NAR, and the names that it refers to."""

    digest: bytes
    size: int
    references: tuple[str, ...]


class Closure(NamedTuple):
    """The closure, with all its store paths by their names: ``<hash>-<name>``."""

    id: str
    version: str
    nix: str
    cacert: str
    manual: str | None
    profile: str
    paths: Mapping[str, Info]

    def path(self, name: str) -> str:
        """Return the store path of a name in this boot's layout."""
        return f"{paths.PREFIX}/{name}"

    def size(self, names: "set[str] | None" = None) -> int:
        """Return the size of the named paths, or of all, in bytes."""
        return sum(self.paths[name].size for name in (self.paths if names is None else names))


def read_closure() -> Closure:
    """Read closure.json; raise CommandError if it is damaged."""
    try:
        with open(paths.DESCRIPTION, encoding="utf-8") as file:
            text = file.read()
    except OSError as error:
        raise _fail(error.strerror or str(error)) from error
    except UnicodeDecodeError as error:
        raise _fail(f"expected UTF-8, got {error!r}") from error
    try:
        closure = parse_closure(text)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _fail(f"expected the closure's description, got {error!r}") from error
    if (got := closure_id(closure)) != closure.id:
        raise _fail(f"expected the closure {closure.id}, got {got}")
    return closure


def _fail(reason: str) -> CommandError:
    return CommandError(f"cannot read the package: {paths.DESCRIPTION}: {reason}", REINSTALL)


def parse_closure(text: str) -> Closure:
    """Parse closure.json; raise ValueError, KeyError, TypeError or AttributeError."""
    content = json.loads(text)
    known = {}
    for entry in content["paths"]:
        known[_name(entry["path"])] = Info(
            parse_sha256(entry["narHash"]),
            int(entry["narSize"]),
            tuple(sorted(_name(path) for path in entry["references"])),
        )
    manual = content["manual"]
    closure = Closure(
        id=content["id"],
        version=str(content["version"]),
        nix=_name(content["nix"]),
        cacert=_name(content["cacert"]),
        manual=_name(manual) if manual else None,
        profile=_name(content["profile"]),
        paths=known,
    )
    roles = {closure.nix, closure.cacert, closure.profile, closure.manual} - {None}
    if absent := roles - known.keys():
        raise ValueError(f"no path {absent.pop()}")
    return closure


def _name(path: str) -> str:
    name = path.removeprefix(_PREFIX)
    if name == path or "/" in name or name.startswith("."):
        raise ValueError(f"{path!r} is not a store path")
    return name


def registration(closure: Closure, names: "set[str]", prefix: str) -> str:
    """Return the input of ``nix-store --load-db`` for the named paths, with the store ``prefix``.

    Each path has these lines: the path, its hash, its size, no deriver, the number of references,
    and the references.
    """
    lines: list[str] = []
    for name in sorted(names):
        digest, size, references = closure.paths[name]
        lines += [f"{prefix}/{name}", to_nix(digest), str(size), "", str(len(references))]
        lines += [f"{prefix}/{reference}" for reference in references]
    return "".join(f"{line}\n" for line in lines)


def closure_id(closure: Closure) -> str:
    """Return the id, which is computed from the paths and their roles."""
    digest = hashlib.sha256(registration(closure, set(closure.paths), _PREFIX.rstrip("/")).encode())
    for name in (closure.nix, closure.cacert, closure.manual):
        digest.update(f"{_PREFIX}{name}\n".encode() if name else b"\n")
    return digest.hexdigest()[:_ID_LENGTH]
