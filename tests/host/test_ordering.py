"""Test that units which start early and keep their root directory start after the move."""

import json
from collections.abc import Iterator, Mapping, Sequence

import pytest

from tests.harness.nspawn import Host
from tests.harness.tree import atomic_tree, layer_rpms
from tests.packages import PackageMaker, fit_for_sample
from tests.whole import add_program, check_works

pytestmark = pytest.mark.long

# These units of a desktop start before sysinit.target.
_EARLY = (
    *("haveged", "plymouth", "systemd-coredump", "systemd-homed", "systemd-oomd"),
    *("systemd-resolved", "systemd-timesyncd", "systemd-tpm", "systemd-userdbd", "udev"),
)
_TARGET = "nix-root.target"
# Each of these is in every boot, and starts after nix-root.target.
_ANCHORS = frozenset({_TARGET, "local-fs.target", "sysinit.target", "basic.target"})
# The settings that create a mount namespace for a service, with the values that do not:
# exec_needs_mount_namespace() in systemd's src/core/execute.c at v261.
_NO_LIST = (
    *("BindPaths", "BindReadOnlyPaths", "ExecPaths", "ExtensionDirectories", "ExtensionImages"),
    *("IPCNamespacePath", "InaccessiblePaths", "LogNamespace", "MountImages"),
    *("NetworkNamespacePath", "NoExecPaths", "ReadOnlyPaths", "ReadWritePaths", "RootDirectory"),
    *("RootImage", "RootMStack", "TemporaryFileSystem"),
)
_NO_SWITCH = (
    *("BindLogSockets", "DynamicUser", "PrivateBPF", "PrivateDevices", "PrivateIPC"),
    *("PrivateMounts", "PrivateNetwork", "PrivatePIDs", "PrivateTmp", "ProtectControlGroups"),
    *("ProtectHome", "ProtectKernelLogs", "ProtectKernelModules", "ProtectKernelTunables"),
    "ProtectSystem",
)
_NEUTRAL = {
    **dict.fromkeys(_NO_LIST, ""),
    **dict.fromkeys(_NO_SWITCH, "no"),
    **{"MountFlags": "shared", "ProcSubset": "all", "ProtectProc": "default"},
}
_RELATIONS = ("Id", "LoadState", "Type", "Accept", "After", "Requires", "BindsTo")
_UNITS = """
cd /usr/lib/systemd/system
for unit in *.service /etc/systemd/system/*.service; do
    unit=${unit##*/}
    echo "${unit/@./@x.}"
done
"""

Properties = Mapping[str, str]


@pytest.fixture(scope="module")
def host(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host with the early units of a desktop, moved by the boot."""
    place = tmp_path_factory.mktemp("ordering")
    tree = layer_rpms(atomic_tree(extra=(_EARLY,)), [package()], place / "rpms")
    with Host(fit_for_sample(tree, place / "settings"), place / "host") as host:
        yield host


def _show(host: Host, names: Sequence[str]) -> list[Properties]:
    """Return the properties of units, as systemd has loaded them."""
    wanted = f"--property={','.join((*_RELATIONS, *_NEUTRAL))}"
    text = host.run(f"systemctl show {wanted} -- {' '.join(names)}").stdout
    blocks = (block.splitlines() for block in text.split("\n\n"))
    return [dict(line.split("=", 1) for line in block) for block in blocks]


def _keeps_root(unit: Properties) -> bool:
    """Return whether a unit's process has its own mounts, and keeps running."""
    if unit["LoadState"] != "loaded" or unit.get("Type") == "oneshot":
        return False
    return any(unit.get(name, "") not in {"", neutral} for name, neutral in _NEUTRAL.items())


def _is_late(unit: Properties, others: Mapping[str, Properties]) -> bool:
    """Return whether a unit starts after the move in every boot.

    An order between two units holds only if both are to be started. ``others`` are the units that
    start with the unit.
    """
    after = set(unit["After"].split())
    needed = after & {*unit["Requires"].split(), *unit["BindsTo"].split()}
    return bool(after & _ANCHORS) or any(
        set(others[name]["After"].split()) & _ANCHORS for name in needed if name in others
    )


def _find_early(host: Host) -> set[str]:
    """Return the units that may keep the root directory from before the move."""
    units = [unit for unit in _show(host, host.run(_UNITS).stdout.split()) if _keeps_root(unit)]
    needed = {name for unit in units for name in (unit["Requires"] + unit["BindsTo"]).split()}
    sockets = {unit["Id"].partition("@")[0] + ".socket" for unit in units if "@" in unit["Id"]}
    others = {unit["Id"]: unit for unit in _show(host, sorted(needed | sockets))}

    def serves_one_connection(unit: Properties) -> bool:
        name, at, _ = unit["Id"].partition("@")
        return bool(at) and others.get(f"{name}.socket", {}).get("Accept") == "yes"

    return {
        unit["Id"]
        for unit in units
        if not _is_late(unit, others) and not serves_one_connection(unit)
    }


def test_units_that_keep_their_root_start_after_the_move(host: Host) -> None:
    """Find units of a new systemd that nix-root.target does not name yet."""
    assert _find_early(host) == set()
    host.run(
        "printf '[Unit]\\nDefaultDependencies=no\\n[Service]\\nProtectSystem=full\\n"
        "ExecStart=/usr/bin/sleep infinity\\n' >/etc/systemd/system/new.service;"
        " systemctl daemon-reload"
    )
    found = _find_early(host)
    host.run("rm /etc/systemd/system/new.service; systemctl daemon-reload")
    assert found == {"new.service"}


def test_no_process_has_kept_the_old_root(host: Host) -> None:
    assert host.failed_units() == []
    status = json.loads(host.run("nix-aurora mount status --json").stdout)
    assert (status["root"], status["laggards"]) == ("overlay", [])
    for name in ("systemd-userdbd.service", "systemd-resolved.service"):
        pid = host.run(f"systemctl show --property=MainPID --value {name}").stdout.strip()
        host.run(f"[ /proc/{pid}/root/nix/store -ef /var/lib/nix/store ]")
    add_program(host)
    check_works(host)
