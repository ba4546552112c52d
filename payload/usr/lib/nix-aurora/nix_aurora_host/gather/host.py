"""What kind of host it is, another Nix on it, Nix's settings, SELinux."""

import json
import os
import re
from pathlib import Path

from nix_aurora_host import facts, paths
from nix_aurora_host.facts import Closure, Foreign, Host, Label, Person, Settings, Store
from nix_aurora_host.system import NOT_STARTED, read, run

_FEDORA = ("nix", "nix-core", "nix-daemon", "nix-filesystem", "nix-legacy", "nix-system")
_NIXD = "/usr/local/bin/determinate-nixd"
_CONF = "/etc/nix/nix.conf"
_AT = re.compile(r"""["'](/[^"']+\.conf)["']""")
_ENFORCE = "/sys/fs/selinux/enforce"


def gather_host(*, ask_rpm_ostree: bool) -> Host:
    """Tell the kinds of host apart; rpm-ostree is asked only where that is wanted: it is slow."""
    ostree = Path("/run/ostree-booted").exists()
    return Host(
        ostree=ostree,
        layered=ostree and ask_rpm_ostree and _is_layered(),
        root_writable=not os.statvfs("/").f_flag & os.ST_RDONLY,
    )


def _is_layered() -> bool:
    outcome = run(["rpm-ostree", "status", "--booted", "--json"], timeout=60)
    try:
        deployments = json.loads(outcome.stdout)["deployments"]
    except (ValueError, KeyError):  # no rpm-ostree: then the image has brought us
        return False
    requested = [
        name
        for deployment in deployments
        if deployment.get("booted")
        for key in ("requested-packages", "requested-local-packages")
        for name in deployment.get(key, ())
    ]
    return any(name == "nix-aurora" or name.startswith("nix-aurora-") for name in requested)


def gather_foreign() -> Foreign:
    """Look for another Nix: Determinate's installer, Fedora's packages."""
    outcome = run(["rpm", "-q", "--queryformat", "%{NAME}\\n", *_FEDORA])
    lines = outcome.stdout.splitlines() if outcome.code != NOT_STARTED else []
    return Foreign(
        receipt=Path("/nix/receipt.json").exists(),
        uninstaller=os.access("/nix/nix-installer", os.X_OK),
        nixd=os.path.lexists(_NIXD),
        packages=tuple(line for line in lines if line in _FEDORA),
    )


def gather_settings(closure: Closure, store: Store, person: Person) -> Settings:
    """Compare nix.conf with the packaged one, and let Nix read everything that it would."""
    ours, now = read(f"{paths.PRISTINE}/nix/nix.conf"), read(_CONF)
    settings = Settings(exists=now is not None, differs=None not in {ours, now} and ours != now)
    if store.nix != facts.OURS or closure.nix in store.missing:
        return settings  # Nix does not start there
    command = [*paths.nix_command(closure.nix, "nix"), "config", "show"]
    features = ["--extra-experimental-features", "nix-command"]
    outcome = run([*command, *features], person=person, environment={"HOME": person.home})
    if outcome.code == 0:
        return settings
    lines = [line.strip() for line in outcome.stderr.splitlines() if "error:" in line]
    message = lines[-1].removeprefix("error:").strip() if lines else outcome.stderr.strip()
    path = _AT.search(outcome.stderr)
    return Settings(settings.exists, settings.differs, message, path[1] if path else None)


def gather_labels(closure: Closure, listening: frozenset[str]) -> tuple[Label, ...] | None:
    """Read the labels that matter and the ones that the policy wants; None without SELinux."""
    if read(_ENFORCE) is None:
        return None
    looked_at = [
        "/",
        paths.BASE,
        paths.STORE,
        paths.physical(closure.nix),  # stands for all that is in it
        *(path for path in paths.SOCKETS if path in listening),
    ]
    wanted = {}
    for line in run(["matchpathcon", *looked_at]).stdout.splitlines():
        path, _, context = line.partition("\t")
        wanted[path] = context.strip()
    return tuple(Label(path, _context(path), wanted.get(path)) for path in looked_at)


def _context(path: str) -> str | None:
    try:
        return os.getxattr(path, "security.selinux", follow_symlinks=False).rstrip(b"\0").decode()
    except OSError:
        return None
