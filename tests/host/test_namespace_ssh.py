"""Test ssh and programs that use it in the namespace layout: OpenSSH's own client and server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.roots import SSH
from tests.harness.tree import Tree, atomic_tree, layer_rpms
from tests.host.conftest import HostMaker
from tests.host.expressions import copy_expressions
from tests.packages import PackageMaker, fit_for_sample

_INSIDE = "nix-aurora shell"
_WITH_NIX = "/usr/libexec/nix-aurora/with-nix"
# These settings have the forms of Fedora and systemd: links, and an Include in a block. An
# administrator's file has a space in its name, includes files by a relative pattern, and uses
# another spelling of the keyword.
_SETTINGS = r"""
echo STORE_LAYOUT=namespace >>/etc/nix-aurora.conf
mkdir -p /usr/share/crypto-policies/DEFAULT /etc/crypto-policies/back-ends /etc/ssh/site
echo 'Ciphers aes256-gcm@openssh.com' >/usr/share/crypto-policies/DEFAULT/openssh.txt
ln -s /usr/share/crypto-policies/DEFAULT/openssh.txt /etc/crypto-policies/back-ends/openssh.config
cd /etc/ssh/ssh_config.d
cat >50-redhat.conf <<'END'
Match final all
	Include /etc/crypto-policies/back-ends/openssh.config
	ForwardX11Trusted yes
END
printf '%s\n' 'Host site' '  include="site/*.conf" # more' '  HostName localhost' >'10 site.conf'
printf 'LogLevel ERROR' >../site/more.conf
"""
# This lets tester log in as other and as root.
_KEYS = """
systemctl start ssh.service
su --login tester --command 'ssh-keygen -q -t ed25519 -N "" -f ~/.ssh/id_ed25519'
for home in /var/home/other /var/roothome; do
    install -d -m 0700 $home/.ssh
    cp /var/home/tester/.ssh/id_ed25519.pub $home/.ssh/authorized_keys
done
chown -R other: /var/home/other/.ssh
printf 'site,localhost %s\n' "$(cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub)" \
    >/etc/ssh/ssh_known_hosts
"""


@pytest.fixture(scope="module")
def tree(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return a tree with OpenSSH, the package and the settings."""
    place = tmp_path_factory.mktemp("tree")
    layered = layer_rpms(atomic_tree(extra=(SSH,)), [package()], place / "rpms")
    return fit_for_sample(layered, place / "fit").changed(place / "settings", _SETTINGS)


@pytest.fixture(scope="module")
def host(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Return a host in the namespace layout, where tester can log in as other and as root."""
    place = tmp_path_factory.mktemp("ssh")
    with Host(tree, place / "host") as host:
        (place / "files").mkdir()
        copy_expressions(host, place / "files")
        host.run(_KEYS)
        yield host
        assert host.failed_units() == []


def test_ssh_refuses_roots_settings_in_a_user_namespace(host: Host) -> None:
    """Show the fault that our copies avoid; all other tests use ssh's own settings."""
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    assert host.run_as("tester", "ssh other@site id -un").stdout == "other\n"
    bare = host.run_as("tester", "unshare --user --map-current-user ssh other@site", check=False)
    assert bare.returncode == 255
    assert "Bad owner or permissions on /etc/ssh/ssh_config.d/" in bare.stderr


@pytest.mark.parametrize("start", [_INSIDE, _WITH_NIX, f"umask 0002; {_INSIDE}", f"sudo {_INSIDE}"])
def test_ssh_logs_in_with_the_hosts_settings(host: Host, start: str) -> None:
    host.run("cp -a /var/home/tester/.ssh/id_ed25519 /root/.ssh/; chown root: /root/.ssh/id*")
    done = host.run_as("tester", f"{start} ssh other@site id -un")
    assert (done.stdout, done.stderr) == ("other\n", "")
    plain = "sudo" if start.startswith("sudo") else ""
    settings = [host.run_as("tester", f"{by} ssh -G other@site").stdout for by in (plain, start)]
    assert settings[0] == settings[1]
    assert {"hostname localhost", "loglevel ERROR", "ciphers aes256-gcm@openssh.com"} <= set(
        settings[1].splitlines()
    )


@pytest.mark.parametrize(
    ("script", "shown"),
    [
        ("scp other@site:/etc/hostname got && cmp /etc/hostname got && echo same", "same"),
        ("echo 'get /etc/hostname got' | sftp -b - other@site >/dev/null && wc -l <got", "1"),
        ("git clone --quiet other@site:repository got && git -C got log --format=%s", "first"),
        ("ssh -J other@site root@localhost id -un", "root"),
    ],
    ids=["scp", "sftp", "git", "jump"],
)
def test_programs_that_start_ssh_work(host: Host, script: str, shown: str) -> None:
    host.run_as(
        "other",
        """
        [ -e repository ] && exit
        git init --quiet repository && cd repository
        git -c user.name=a -c user.email=b commit --quiet --allow-empty -m first
        """,
    )
    inside = host.run_as("tester", f"rm -rf got; {_INSIDE} bash -c {script!r}")
    assert inside.stdout == f"{shown}\n"


def test_nix_copies_over_ssh(host: Host) -> None:
    """Copy with plain nix commands, each in its own namespace."""
    script = """
    path=$(nix build --no-link --print-out-paths --file /srv/greet.nix) || exit
    nix store info --store ssh-ng://other@site 2>&1
    nix copy --to ssh-ng://root@site "$path" && echo there
    nix copy --no-check-sigs --from ssh-ng://other@site --to /var/home/tester/copy "$path"
    ls "/var/home/tester/copy$path/bin"
    cd && git init --quiet flake && cd flake && echo '{ outputs = _: { answer = 42; }; }' >flake.nix
    git add flake.nix && git -c user.name=a -c user.email=b commit --quiet -m first
    scp -qr ~/flake other@site: && nix eval git+ssh://other@site/var/home/other/flake#answer
    """
    lines = host.run_as("tester", script).stdout.splitlines()
    assert "Store URL: ssh-ng://other@site" in lines
    assert lines[-3:] == ["there", "greet", "42"]


def test_host_keeps_its_own_settings(host: Host) -> None:
    job = f"{_INSIDE} bash -c 'touch ~/runs; while [ -e ~/runs ]; do sleep 0.1; done'"
    host.run(f'su --login tester --command "{job}" & until [ -e /home/tester/runs ]; do :; done')
    owners = host.run(
        "stat --dereference --format=%U /etc/ssh/ssh_config.d/* /etc/crypto-policies/*/*"
    )
    mounts = host.read("/proc/self/mountinfo")
    host.run("rm /home/tester/runs")
    assert set(owners.stdout.split()) == {"root"}
    assert "/etc/ssh" not in mounts


def test_ssh_works_if_the_image_has_a_nix(tree: Tree, make_host: HostMaker, tmp_path: Path) -> None:
    """Each command mounts the store on the image's /nix, and needs no separate root directory."""
    host = make_host(tree.changed(tmp_path / "nix", "mkdir /nix"))
    host.boot()
    host.run(_KEYS)
    assert host.run_as("tester", f"{_INSIDE} ssh other@site id -un").stdout == "other\n"
    assert host.run("ls /nix").stdout == ""


@pytest.mark.parametrize(
    "spoil",
    [
        "rm -r /etc/ssh/ssh_config.d",
        "rm -r /etc/ssh",
        "chmod 0600 /etc/ssh/ssh_config.d/[15]*",
        "echo Include /etc/ssh/ssh_config.d/* >>/etc/ssh/ssh_config.d/50-redhat.conf",
        "ln -sfn /nowhere /etc/ssh/ssh_config.d/20-systemd-ssh-proxy.conf",
        "printf 'Include \\0 \\\\ ] $(touch /tmp/x) * [' >/etc/ssh/ssh_config.d/1.conf",
    ],
)
def test_nix_works_with_any_settings_of_ssh(host: Host, spoil: str) -> None:
    host.run(f"cp -a /etc/ssh /run/; {spoil}")
    done = host.run_as("tester", f"{_INSIDE} nix --version")
    host.run("rm -rf /etc/ssh; cp -a /run/ssh /etc/; rm -r /run/ssh; [ ! -e /tmp/x ]")
    assert (done.stdout, done.stderr) == ("nix (Nix) 2.34.8\n", "")
