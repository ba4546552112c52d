"""Make the closure: choose its store paths, and build each from its packages.

The shape is Determinate's, with every oddity that the packaging has to handle:

- the root ``nix-<version>`` consists of symlinks into ``nix-cli-<version>``, so that two paths
  have a ``bin/nix``;
- ``sandbox-shell`` is itself a symlink, to busybox, and ``nix-sandbox.conf`` a regular file;
- ``nix-manual-<version>`` and ``nss-cacert-<version>`` are roots to which nothing refers.

One part differs. The official Nix has the store path of its sandbox's /bin/sh compiled in;
Debian's has ``/usr/bin/bash-static``, a string that is too short to hold a store path, and whose
length is part of the machine code. So a test that runs the sample copies the single line of
``etc/nix/sandbox.conf``, in the nix path, into nix.conf.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nix_aurora.errors import VerificationError
from sample import elf, layout
from sample.debs import Package
from sample.store import STORE, Plan, Registration, assign, register
from sample.target import Architecture

_NIX, _GLIBC, _BUSYBOX, _CERTIFICATES, _UNITS = (
    "nix-bin",
    "libc6",
    "busybox-static",
    "ca-certificates",
    "nix-setup-systemd",
)
_RENAMED = {_GLIBC: "glibc", _BUSYBOX: "busybox", _CERTIFICATES: "nss-cacert"}
# These are keys of paths that do not belong to a single package.
_CLI, _MANUAL, _SHELL, _CONF = "nix-cli", "nix-manual", "sandbox-shell", "nix-sandbox.conf"
_EXPECTED_IN_NIX = (
    *("bin/nix", "bin/nix-daemon", "bin/nix-store", "libexec/nix/build-remote"),
    *("etc/profile.d/nix.sh", "etc/profile.d/nix-daemon.sh", "etc/profile.d/nix-daemon.fish"),
    *("lib/systemd/system/nix-daemon.service", "lib/systemd/system/nix-daemon.socket"),
    *("lib/tmpfiles.d/nix-daemon.conf", "etc/nix/sandbox.conf"),
    *("share/bash-completion/completions/nix", "share/zsh/site-functions/_nix"),
    "share/fish/vendor_completions.d/nix.fish",
)


@dataclass(frozen=True)
class Closure:
    """A closure in a store directory: its roots, as store paths, and its contents."""

    nix: str
    manual: str
    cacert: str
    registrations: list[Registration]


@dataclass(frozen=True)
class _Libraries:
    """The package of each library, and the packages that each package needs."""

    provider: dict[str, str]  # file name of a library -> package
    uses: dict[str, frozenset[str]]  # package -> packages, for everything that Nix loads


def make(
    packages: Mapping[str, Package],
    trees: Path,
    store: Path,
    *,
    architecture: Architecture,
    recipe: str,
) -> Closure:
    """Make the closure from the packages unpacked in ``trees``, each under its name, in ``store``.

    ``recipe`` is a digest of all other inputs of the result.
    """
    libraries = _find_libraries(packages, trees, architecture)
    names = assign(_plan(packages, libraries.uses, recipe))
    store.mkdir(parents=True)
    _lay_out(names, trees, store, architecture)
    for key, name in names.items():
        if key == _GLIBC:  # glibc finds its own files; its loader keeps no RUNPATH
            elf.detach_glibc(store / name / "lib", architecture)
        else:
            _patch(store / name, names, libraries.provider, architecture)
    layout.link_farm(store / names[_CLI], store / names[_NIX], f"{STORE}/{names[_CLI]}")
    layout.require(store / names[_NIX], _EXPECTED_IN_NIX)
    registrations = register(store)
    _check(registrations, names)
    return Closure(
        nix=f"{STORE}/{names[_NIX]}",
        manual=f"{STORE}/{names[_MANUAL]}",
        cacert=f"{STORE}/{names[_CERTIFICATES]}",
        registrations=registrations,
    )


def _find_libraries(packages: Iterable[str], trees: Path, architecture: Architecture) -> _Libraries:
    provider: dict[str, str] = {}
    for package in sorted(packages):
        for file in sorted((trees / package / "usr/lib" / architecture.triplet).glob("*.so*")):
            provider.setdefault(file.name, package)
    uses: dict[str, frozenset[str]] = {_GLIBC: frozenset()}
    waiting = [_NIX]
    while waiting:
        package = waiting.pop()
        if package in uses:
            continue
        found = set()
        for path, loaded in elf.find(trees / package / "usr"):
            if loaded.machine != architecture.elf_machine:
                raise VerificationError(
                    f"cannot read a package: {path}: expected e_machine "
                    f"{architecture.elf_machine}, got {loaded.machine}"
                )
            for library in loaded.needed:
                if library not in provider:
                    raise VerificationError(
                        f"resolving libraries: {path}: expected a package with {library}, got none"
                    )
                found.add(provider[library])
        uses[package] = frozenset(found - {package})
        waiting += found
    return _Libraries(provider, uses)


def _plan(
    packages: Mapping[str, Package], uses: Mapping[str, frozenset[str]], recipe: str
) -> dict[str, Plan]:
    def plan(package: str, needed: Iterable[str] = (), name: str | None = None) -> Plan:
        made_from = packages[package]
        name = name or f"{_RENAMED.get(package, package)}-{made_from.upstream_version}"
        return Plan(name, f"{recipe}:{made_from.sha256}", frozenset(needed))

    version = packages[_NIX].upstream_version
    plans = {package: plan(package, needed) for package, needed in uses.items()}
    plans |= {package: plan(package) for package in (_BUSYBOX, _CERTIFICATES)}
    plans[_SHELL] = plan(_BUSYBOX, [_BUSYBOX], _SHELL)
    plans[_CONF] = plan(_BUSYBOX, [_BUSYBOX], _CONF)
    plans[_CLI] = plan(_NIX, uses[_NIX] | {_SHELL, _CONF}, f"{_CLI}-{version}")
    plans[_CLI] = plans[_CLI]._replace(source=f"{plans[_CLI].source}:{packages[_UNITS].sha256}")
    plans[_NIX] = plan(_NIX, [_CLI], f"nix-{version}")
    plans[_MANUAL] = plan(_NIX, [], f"{_MANUAL}-{version}")
    return plans


def _lay_out(
    names: Mapping[str, str], trees: Path, store: Path, architecture: Architecture
) -> None:
    busybox = f"{STORE}/{names[_BUSYBOX]}/bin/busybox"
    layout.busybox(trees / _BUSYBOX, store / names[_BUSYBOX])
    layout.certificates(trees / _CERTIFICATES, store / names[_CERTIFICATES])
    layout.manual(trees / _NIX, store / names[_MANUAL])
    layout.link(store / names[_SHELL], busybox)
    layout.sandbox_conf(store / names[_CONF], busybox)
    layout.nix_cli(
        trees / _NIX,
        trees / _UNITS,
        store / names[_CLI],
        own=f"{STORE}/{names[_CLI]}",
        sandbox_shell=f"{STORE}/{names[_SHELL]}",
        conf=f"{STORE}/{names[_CONF]}",
    )
    done = {_BUSYBOX, _CERTIFICATES, _MANUAL, _SHELL, _CONF, _CLI, _NIX}
    for package in names.keys() - done:
        layout.library(trees / package, store / names[package], architecture.triplet)


def _patch(
    path: Path,
    names: Mapping[str, str],
    provider: Mapping[str, str],
    architecture: Architecture,
) -> None:
    loader = f"{STORE}/{names[_GLIBC]}/lib/{architecture.loader}"
    for file, loaded in elf.find(path):
        directories = dict.fromkeys(
            f"{STORE}/{names[provider[library]]}/lib" for library in loaded.needed
        )
        elf.patch(
            file,
            interpreter=loader if loaded.interpreter else None,
            directories=list(directories),
        )


def _check(registrations: Iterable[Registration], names: Mapping[str, str]) -> None:
    """Check that the planned paths exist, and have the references of Determinate's."""
    found = {registration.name: set(registration.references) for registration in registrations}
    if found.keys() != set(names.values()):
        raise VerificationError("cannot make the closure: expected the planned paths, got others")
    for key, expected in (
        (_NIX, {_CLI}),
        (_SHELL, {_BUSYBOX}),
        (_CONF, {_BUSYBOX}),
        (_MANUAL, set()),
        (_CERTIFICATES, set()),
        (_BUSYBOX, set()),
    ):
        if found[names[key]] != {names[other] for other in expected}:
            raise VerificationError(
                f"cannot make the closure: {names[key]}: expected references to "
                f"{sorted(expected)}, got {sorted(found[names[key]])}"
            )
