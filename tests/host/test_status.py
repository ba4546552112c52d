"""Test that nix-aurora status shows the state to any user, and test the command itself."""

import json
import time

from tests.build_users import GROUP_ID, IDS
from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker
from tests.whole import count_packaged

_ADMINISTRATOR_S = """
. /usr/lib/nix-aurora/closure.env
cp -r --preserve=mode $CLOSURE_NIX /tmp/own
chmod -R u+w /tmp/own
rm /tmp/own/bin/nix
cp /usr/bin/true /tmp/own/bin/nix
path=$(nix-store --add /tmp/own)
profile=/nix/var/nix/profiles/default
nix-env --profile $profile --set "$path"
"""


def test_status_shows_the_state_of_a_healthy_host(nix_host: Host) -> None:
    for user in ("tester", "other", "root"):
        root = user == "root"  # the import's files are only for root
        state = json.loads(nix_host.run_as(user, "nix-aurora status --json").stdout)
        env = dict(
            line.split("=", 1)
            for line in nix_host.read("/usr/lib/nix-aurora/closure.env").splitlines()
        )
        assert (state["layout"], state["nix"]) == ("mount", "ours")
        assert state["packaged"]["nix"] == state["commands_run"] == env["CLOSURE_NIX"]
        assert state["packaged"]["version"] == env["CLOSURE_VERSION"]
        assert state["imported"] == {
            "id": env["CLOSURE_ID"] if root else None,
            "current": True,
        }
        assert state["profile"]["owner"] == "packaged"
        assert list(state["sockets"].values()) == [True, True]
        assert state["users"]["group"] == GROUP_ID
        assert sorted(state["users"]["ids"].values()) == list(IDS)
        assert state["store"]["paths"] >= count_packaged(nix_host)
        assert 0 < state["space"]["free"] < state["space"]["size"]
        assert state["selinux"] is None
        assert state["aside"] == ([] if root else None)


def test_status_names_the_daemon_that_runs(nix_host: Host) -> None:
    nix_host.run("systemctl stop nix-daemon.service")
    assert "the first connection starts it" in nix_host.run("nix-aurora status").stdout
    nix_host.run_as("other", "nix-store --query --hash $(readlink -f /usr/bin/nix-store) || :")
    nix_host.run("systemctl start nix-daemon.service")
    state = json.loads(nix_host.run_as("other", "nix-aurora status --json").stdout)
    nix = state["packaged"]["nix"]
    assert state["daemon"]["program"] == f"{nix}/bin/nix-daemon"
    assert f"runs nix-{state['packaged']['version']}, the packaged one" in (
        nix_host.run("nix-aurora status").stdout
    )


def test_status_is_readable_without_a_terminal_and_quick(nix_host: Host) -> None:
    text = nix_host.run("nix-aurora status").stdout
    assert max(map(len, text.splitlines())) <= 100
    assert "which /usr/bin/nix and the daemon run" in text
    start = time.monotonic()
    nix_host.run("nix-aurora status")
    assert time.monotonic() - start < 3  # status takes 0.15 s on an idle machine


def test_administrators_nix_differs_from_ours(nix_tree: Tree, make_host: HostMaker) -> None:
    host = make_host(nix_tree)
    host.boot()
    host.run(_ADMINISTRATOR_S)
    state = json.loads(host.run("nix-aurora status --json").stdout)
    assert state["profile"]["owner"] == "administrator"
    text = host.run("nix-aurora status").stdout
    assert "the administrator's own, which imports do not replace" in text
    assert state["commands_run"] == state["packaged"]["nix"]
    host.reboot()
    assert json.loads(host.run("nix-aurora status --json").stdout)["profile"] == state["profile"]


def test_wrong_usage_is_refused(nix_host: Host) -> None:
    assert nix_host.run("nix-aurora --version").stdout.startswith("nix-aurora 2.")
    assert "examples:" in nix_host.run("nix-aurora --help").stdout
    for arguments in ("", "nonsense", "status --nonsense", "doctor --js"):
        result = nix_host.run(f"nix-aurora {arguments}", check=False)
        assert (result.returncode, result.stdout) == (2, "")
        assert "usage: nix-aurora" in result.stderr


def test_command_writes_no_bytecode_and_trusts_no_directory(nix_host: Host) -> None:
    compiled = "find /usr/lib/nix-aurora -name '*.pyc' -printf '%p %T@ %i\\n' | sort"
    before = nix_host.run(compiled).stdout
    nix_host.run(
        "mkdir /tmp/trap; cd /tmp/trap; echo 'raise SystemExit(9)' | tee json.py argparse.py;"
        "PYTHONPATH=/tmp/trap nix-aurora --version"
    )
    assert nix_host.run(compiled).stdout == before
