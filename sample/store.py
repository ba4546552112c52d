"""Name store paths, find their references, and register a closure."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from nix_aurora.errors import VerificationError
from nix_aurora.store.hashes import to_base32, to_nix
from nix_aurora.store.nar import NarHash, dump, nar_hash

STORE = "/nix/store"
HASH_LENGTH = 32  # characters of base32 before a store path's name
_DIGEST_BYTES = 20


def base_name(kind: str, digest: bytes, name: str) -> str:
    """Return the name of a store path as Nix forms it, ``<hash>-<name>``.

    ``kind`` and ``digest``, a SHA-256, identify its content: ``output:out`` goes with the digest of
    the inputs, ``text`` with that of the content. Source: the Nix manual, "Store Path
    Specification".
    """
    fingerprint = f"{kind}:sha256:{digest.hex()}:{STORE}:{name}"
    folded = bytearray(_DIGEST_BYTES)
    for index, byte in enumerate(hashlib.sha256(fingerprint.encode()).digest()):
        folded[index % _DIGEST_BYTES] ^= byte
    return f"{to_base32(bytes(folded))}-{name}"


class Plan(NamedTuple):
    """A planned store path: its name, a digest of its inputs, and the paths that it uses."""

    name: str
    source: str
    uses: frozenset[str]  # keys of other plans


def assign(plans: Mapping[str, Plan]) -> dict[str, str]:
    """Return the base name of each plan, in an order in which every path follows those it uses.

    The names of the used paths are inputs too, as in Nix: a program that is linked against another
    glibc gets another path, even if it comes from the same package. Raises VerificationError on a
    cycle.
    """
    names: dict[str, str] = {}
    waiting = dict(sorted(plans.items()))
    while waiting:
        ready = [key for key, plan in waiting.items() if plan.uses <= names.keys()]
        if not ready:
            raise VerificationError(
                f"ordering store paths: {', '.join(waiting)}: expected no cycle, got one"
            )
        for key in ready:
            plan = waiting.pop(key)
            inputs = "\n".join([plan.source, *sorted(names[use] for use in plan.uses)])
            digest = hashlib.sha256(inputs.encode()).digest()
            names[key] = base_name("output:out", digest, plan.name)
    return names


def references(path: Path, candidates: Iterable[str]) -> list[str]:
    """Return the ``candidates`` (base names) whose hash occurs in the NAR of ``path``, sorted.

    The path itself counts, as it does for Nix.
    """
    missing = {name[:HASH_LENGTH].encode(): name for name in candidates}
    found: list[str] = []
    tail = b""  # a hash may span two pieces
    for piece in dump(path):
        window = tail + piece
        for digest in [digest for digest in missing if digest in window]:
            found.append(missing.pop(digest))
        tail = window[-(HASH_LENGTH - 1) :]
    return sorted(found)


class Registration(NamedTuple):
    """The facts of a path in Nix's database; with base names instead of paths."""

    name: str
    nar: NarHash
    references: tuple[str, ...]


def register(store: Path) -> list[Registration]:
    """Hash and scan every path in the directory ``store``; return them sorted."""
    names = sorted(path.name for path in store.iterdir())
    return [
        Registration(name, nar_hash(store / name), tuple(references(store / name, names)))
        for name in names
    ]


def reginfo(registrations: Iterable[Registration]) -> str:
    """Render registrations as nixpkgs' closureInfo does, for ``nix-store --load-db``.

    Each path has these lines: path, NAR hash, NAR size, deriver (none), number of references, the
    references.
    """
    lines: list[str] = []
    for registration in registrations:
        lines += [
            f"{STORE}/{registration.name}",
            to_nix(registration.nar.sha256),
            str(registration.nar.size),
            "",
            str(len(registration.references)),
            *(f"{STORE}/{name}" for name in registration.references),
        ]
    return "".join(f"{line}\n" for line in lines)
