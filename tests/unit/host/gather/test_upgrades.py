"""Test how a host gets a newer package, from the origins that rpm-ostree and bootc write."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from nix_aurora_host.gather import upgrades
from nix_aurora_host.gather.upgrades import Upgrades, Way, gather_upgrades, parse_origin
from nix_aurora_host.importer import source
from nix_aurora_host.report.upgrades import describe, explain
from nix_aurora_host.system import Outcome

_CONTAINER = """\
[origin]
container-image-reference=ostree-image-signed:docker://ghcr.io/ublue-os/aurora:stable
"""
_COMMIT = "[origin]\nbaserefspec=fedora:fedora/44/x86_64/kinoite\n"
_REPOSITORY = "\n[packages]\nrequested=vim;nix-aurora;\n"
_DIGEST = "4ed748ba060fce4571e7ef19f3f5ed6209f67dbac8327af0d38ea70b96d2f723"
_FILES = f"""
[packages]
requested=vim;
requested-local={_DIGEST}:nix-aurora-3.22.1-1.x86_64;{_DIGEST}:nix-aurora-selinux-3.22.1-1.noarch;
"""
_BOTH = ("nix-aurora", "nix-aurora-selinux")
_LOCKED = "# a comment\n[Daemon]\nAutomaticUpdatePolicy=stage\nLockLayering=true\n"


@pytest.mark.parametrize(
    ("origin", "daemon", "found"),
    [
        (_CONTAINER, "", Upgrades(Way.IMAGE, container=True)),
        (_COMMIT, "", Upgrades(Way.IMAGE)),
        (f"{_CONTAINER}\n[packages]\nrequested=vim;\n", "", Upgrades(Way.IMAGE, container=True)),
        (f"{_CONTAINER}{_REPOSITORY}", "", Upgrades(Way.REPOSITORY, container=True)),
        (f"{_COMMIT}{_REPOSITORY}", _LOCKED, Upgrades(Way.REPOSITORY, locked=True)),
        (f"{_CONTAINER}{_FILES}", "", Upgrades(Way.FILES, container=True, files=_BOTH)),
        (
            f"{_COMMIT}{_FILES.replace('requested-local', 'requested-local-fileoverride')}",
            "[Daemon]\n#LockLayering=true\n",
            Upgrades(Way.FILES, files=_BOTH),
        ),
        # Only the policy module is installed from a file.
        (
            f"{_COMMIT}{_REPOSITORY}requested-local={_DIGEST}:nix-aurora-selinux-1-1.noarch;\n",
            "",
            Upgrades(Way.REPOSITORY, files=("nix-aurora-selinux",)),
        ),
        (_CONTAINER, "LockLayering=true", Upgrades(Way.IMAGE, container=True)),
        ("", _LOCKED, Upgrades()),
        ("no key file", "", Upgrades()),
        ("[packages]\nrequested=nix-aurora;\n", "", Upgrades()),
        ("[origin]\nrefspec=%(x)s\n[packages]\nrequested-local=;;x;:;\n", "", Upgrades(Way.IMAGE)),
    ],
)
def test_way_of_upgrading_is_read_from_the_origin(
    origin: str, daemon: str, found: Upgrades
) -> None:
    assert parse_origin(origin, daemon) == found


@pytest.mark.parametrize(
    ("found", "command", "last"),
    [
        (Upgrades(Way.IMAGE, container=True), "sudo bootc upgrade", "sudo bootc upgrade"),
        (Upgrades(Way.IMAGE), "sudo rpm-ostree upgrade", "sudo rpm-ostree upgrade"),
        (Upgrades(Way.REPOSITORY), "sudo rpm-ostree upgrade", "sudo rpm-ostree upgrade"),
        (
            Upgrades(Way.REPOSITORY, locked=True),
            "sudo rpm-ostree upgrade",
            "LockLayering=true in /etc/rpm-ostreed.conf: rpm-ostree refuses it",
        ),
        (Upgrades(Way.DNF), "sudo dnf upgrade nix-aurora", "sudo dnf upgrade nix-aurora"),
        (Upgrades(), None, "unknown: the origin of this deployment cannot be read"),
        (
            Upgrades(Way.FILES, files=_BOTH),
            "sudo rpm-ostree install ./nix-aurora-*.rpm --uninstall nix-aurora "
            "--uninstall nix-aurora-selinux",
            "    --uninstall nix-aurora --uninstall nix-aurora-selinux",
        ),
    ],
)
def test_status_names_the_way_and_the_command(
    found: Upgrades, command: str | None, last: str
) -> None:
    assert describe(found) == {"way": found.way, "command": command, "locked": found.locked}
    lines = explain(found).splitlines()
    assert lines[-1] == last
    assert all(len(line) <= 90 for line in lines)  # status puts ten columns before these lines


def test_origin_of_the_booted_deployment_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = {"image-host": 0}

    def run(command: Sequence[str]) -> Outcome:
        return Outcome(codes[Path(command[0]).name], "", "")

    booted = tmp_path / "ostree-booted"
    monkeypatch.setattr(upgrades, "run", run)
    monkeypatch.setattr(upgrades, "_OSTREE", str(booted))
    monkeypatch.setattr(upgrades, "_DAEMON", str(tmp_path / "rpm-ostreed.conf"))
    monkeypatch.setattr(source, "_BOOTED", str(booted))
    monkeypatch.setattr(source, "_DEPLOYMENTS", str(tmp_path))
    # a host of bootc without ostree
    assert gather_upgrades() == Upgrades(Way.IMAGE, container=True)

    deployments = tmp_path / "default/deploy"
    for name, origin in {"abc.0": _COMMIT + _FILES, "abc.1": _CONTAINER}.items():
        (deployments / name).mkdir(parents=True)
        (deployments / f"{name}.origin").write_text(origin)
    status = (deployments / "abc.0").stat()
    key = b"backing-root-device-inode\0"
    value = bytes(-len(key) % 8) + struct.pack("=QQ", status.st_dev, status.st_ino) + b"\0(tt)"
    booted.write_bytes(key + value)
    assert gather_upgrades() == Upgrades(Way.FILES, files=_BOTH)
    (tmp_path / "rpm-ostreed.conf").write_text(_LOCKED)
    assert gather_upgrades().locked
    os.truncate(booted, 0)  # another version of ostree
    assert gather_upgrades() == Upgrades()
    codes["image-host"] = 1
    assert gather_upgrades() == Upgrades(Way.DNF)
