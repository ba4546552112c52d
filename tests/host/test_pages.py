"""Follow the pages about further tools of Nix users on a booted host; see readme.FOLLOWED."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.roots import MORE
from tests.harness.tree import Tree, atomic_tree, layer_rpms
from tests.host.conftest import HostMaker
from tests.host.expressions import copy_expressions
from tests.host.following import Page
from tests.host.pages import add_generations, add_nixpkgs, add_servers
from tests.host.terminal import at_terminal
from tests.packages import PackageMaker, fit_for_sample
from tests.readme import file_block
from tests.whole import add_program, check_profile, check_store

_WELL = "nix-aurora doctor: all is well\n"
_PROJECT = "cd project; direnv exec . sh -c 'command -v rg; rg'"
# This is an image of a reader's own, with the recipes; its entry file imports them as Aurora's
# does.
_IMAGE = f"""
mkdir -p /usr/share/ublue-os/just
cd /usr/share/ublue-os/just
cat >60-custom.just <<'END'
{file_block("For you", "docs/ujust.md", "just")}END
cat >00-entry.just <<'END'
set allow-duplicate-recipes := true
import? "/usr/share/ublue-os/just/60-custom.just"
update:
    echo updated
END
"""
_BOTH = "With the image's recipes in the same list"
_MODE = "stat --format='%U %a'"
_SHARED = "A cache for all users"
_PATH = "/nix/store/…"
_CACHE = "https://cache.example.com"
_LINK = """
unit=/nix/var/nix/profiles/default/lib/systemd/system/linked.service
! systemctl link $unit
systemctl link $(readlink -f $unit)
mkdir -p /etc/systemd/system/multi-user.target.wants
ln -s ../linked.service /etc/systemd/system/multi-user.target.wants/
systemctl daemon-reload
systemctl start linked.service
"""


@pytest.fixture(scope="module")
def tree(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return a stock host with the package, direnv and just."""
    place = tmp_path_factory.mktemp("tree")
    layered = layer_rpms(atomic_tree(extra=(MORE,)), [package()], place / "rpms")
    return fit_for_sample(layered, place / "settings", more=_IMAGE)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory that contains the host's state and this machine's files for it."""
    return tmp_path_factory.mktemp("pages")


@pytest.fixture(scope="module")
def host(tree: Tree, place: Path) -> Iterator[Host]:
    """Yield a host in the mount layout, with a flake of its own as nixpkgs."""
    with Host(tree, place / "host") as host:
        (place / "files").mkdir()
        copy_expressions(host, place / "files")
        add_nixpkgs(host, place)
        add_generations(host, place)
        yield host
        assert host.failed_units() == []


# --- direnv


@pytest.fixture(scope="module")
def project(host: Host) -> str:
    """Follow the page on direnv; return the text that a terminal showed."""
    by_hand = (
        "nix profile add nixpkgs#direnv nixpkgs#nix-direnv",
        "mkdir -p ~/.config/direnv",
        """echo 'source "$HOME/.nix-profile/share/nix-direnv/direnvrc"' """
        ">>~/.config/direnv/direnvrc",
    )
    page = Page(host, "docs/direnv.md", left_out=by_hand)
    page.run("Set it up")
    page.write("A project", "nix", "~/project/flake.nix", user="tester")
    enter, use, allow, start = (f"{line}\r" for line in page.commands("A project"))
    assert page.left == []
    steps = (
        *(r"[$#] $", enter, r"[$#] $", use, r"\.envrc is blocked", allow),
        *(r"direnv: export ", start, "ripgrep of the project", "cd ..\r"),
        *("direnv: unloading", "type rg\r", "rg: not found", "exit\r"),
    )
    return at_terminal(host, "bash", *steps)


def test_direnv(host: Host, project: str) -> None:
    assert "direnv: loading ~/project/.envrc" in project
    assert "direnv: using flake" in project
    assert host.run_as("tester", "ls project").stdout == "flake.lock\nflake.nix\n"


# --- Home Manager


@pytest.fixture(scope="module")
def home(host: Host) -> None:
    """Follow the page on Home Manager; afterwards other has a second generation, and lingers."""
    downloads = ("nix run home-manager/master -- init --switch", "home-manager switch")
    page = Page(host, "docs/home-manager.md", left_out=downloads)
    for greeting in ("one", "two"):
        _activate(host, greeting)
    page.run("Set it up", user="other")
    assert host.run_as("other", 'greet; echo "$GREETING"').stdout == "two\ntwo\n"
    page.run("Look at it, and go back", user="other")
    assert page.left == []
    assert _home(host) == "one one one active"
    host.run_as("other", "nix profile add --file /srv/greet.nix --argstr name greet-other")
    _activate(host, "two")  # this time with nix profile


def _activate(host: Host, greeting: str) -> None:
    build = f"nix-build --no-out-link /srv/home/generation.nix --argstr greeting {greeting}"
    host.run_as("other", f"set -eu; $({build})/activate")


def _home(host: Host) -> str:
    """Return the output of the program, the file, the variable and the service of a generation."""
    script = """
    echo $(greet) $(ls ~/.config/greet) $GREETING $(systemctl --user is-active greet.service)
    """
    return host.run_as("other", script).stdout.strip()


@pytest.mark.usefixtures("home")
def test_home_manager(host: Host) -> None:
    assert _home(host) == "two two two active"
    assert host.run_as("other", "greet-other").stdout == "greeting from greet-other\n"
    generations = "nix-env --profile ~/.local/state/nix/profiles/home-manager --list-generations"
    # The return to the first generation counts, too.
    assert len(host.run_as("other", generations).stdout.splitlines()) == 4
    refused = host.run_as("other", "nix-env --install --file /srv/greet.nix", check=False)
    assert "is incompatible with 'nix-env'" in refused.stderr


# --- private caches


def _asked(host: Host) -> set[str]:
    """Return the requests since the last call: the server, the status, and the user."""
    lines = [line.split() for line in host.run("cat /srv/asked; : >/srv/asked").stdout.splitlines()]
    return {f"{host} {status} by {owner}" for owner, host, _, status in lines}


def _take(host: Host, user: str, path: str, options: str = "") -> str:
    """Build a path that the store lacks, and return Nix's messages."""
    host.run(f"! [ -e {path} ] || nix store delete {path}")
    host.run("rm -rf /root/.cache/nix")  # the daemon caches facts about binary caches there
    return host.run_as(user, f"nix build --no-link {options} {path}", check=False).stderr


def test_private_caches(host: Host) -> None:
    path, key = add_servers(host)
    page = Page(host, "docs/private-caches.md", left_out=["sudoedit /etc/nix/netrc"])
    _asked(host)
    copy = page.commands("A cache of your own, without the administrator")
    _refuse_own_cache(host, page, copy, path)
    _use_token(host, page, page.commands("A token for private repositories"))
    _use_shared_cache(host, page, path, key)
    assert page.left == []
    page.type(copy, user="other", names={_PATH: path})  # the key is trusted now
    info = host.run_as("tester", f"nix store info --refresh --store {_CACHE}", check=False)
    assert "HTTP error 401" in info.stderr
    host.run("sed -i s,^extra-subs,extra-trusted-subs, /etc/nix/nix.custom.conf")
    host.run("systemctl restart nix-daemon.service")
    page.write("A cache that some users want", "ini", "~/.config/nix/nix.conf", user="other")
    assert "no substituter that can build it" in _take(host, "tester", path)
    assert f"copying path '{path}' from '{_CACHE}'" in _take(host, "other", path)
    assert _WELL in host.run("nix-aurora doctor").output


def _refuse_own_cache(host: Host, page: Page, copy: list[str], path: str) -> None:
    page.write(_SHARED, "netrc", "~/.config/nix/netrc", user="other")
    refused = page.type(copy, user="other", names={_PATH: path}, check=False)
    assert "ignoring the client-specified setting 'netrc-file'" in refused.stderr
    assert f"cannot add path '{path}' because it lacks a signature" in refused.stderr
    assert _asked(host) == {"cache.example.com 200 by 1001"}
    said = _take(host, "other", path, f"--extra-substituters {_CACHE}")
    assert f"ignoring untrusted substituter '{_CACHE}'" in said


def _use_token(host: Host, page: Page, lines: list[str]) -> None:
    tokens = "~/.config/nix/access-tokens.conf"
    unknown = page.type(lines, user="other", check=False)
    assert "HTTP error 404" in unknown.stderr
    page.write("A token for private repositories", "ini", tokens, user="other")
    page.type(lines[-1:], user="other")
    assert _asked(host) == {"api.github.com 404 by 1001", "api.github.com 200 by 1001"}
    modes = host.run_as("other", f"{_MODE} ~/.config/nix/netrc {tokens}").stdout
    assert modes == "other 600\nother 600\n"
    token = host.run_as("other", f"sed s/.*=// {tokens}").stdout.strip()
    assert host.run(f"grep -rl {token} /var/lib/nix", check=False).stdout == ""
    assert token not in host.journal("nix-daemon.service")


def _use_shared_cache(host: Host, page: Page, path: str, key: str) -> None:
    prepare, *restart = page.commands(_SHARED)
    page.type([prepare])
    page.write(_SHARED, "netrc", "/etc/nix/netrc")
    name = {"cache.example.com-1:KEY": key}
    page.write(_SHARED, "ini", "/etc/nix/nix.custom.conf", names=name)
    assert _CACHE in page.type(restart).stdout
    assert host.run(f"{_MODE} /etc/nix/netrc").stdout == "root 600\n"
    for user in ("tester", "other"):
        assert f"copying path '{path}' from '{_CACHE}'" in _take(host, user, path)
    assert _asked(host) == {"cache.example.com 200 by 0"}


# --- services, recipes


@pytest.fixture(scope="module")
def service(host: Host) -> None:
    """Follow the page on system services; add a unit that is a link."""
    page = Page(host, "docs/system-services.md")
    install, *rest = page.commands("Make a service")
    assert page.left == []
    page.type([install])
    page.write("Make a service", "ini", "/etc/systemd/system/darkhttpd.service")
    assert page.type(rest).stdout == "active\n"
    host.run(_LINK)


def _states(host: Host) -> str:
    script = "systemctl is-active darkhttpd.service linked.service"
    return host.run(script, check=False).stdout


@pytest.mark.usefixtures("service")
def test_system_services(host: Host) -> None:
    assert _states(host) == "active\nactive\n"
    assert "serving /usr/share --port 8080" in host.journal("darkhttpd.service")


def test_ujust(host: Host) -> None:
    page = Page(host, "docs/ujust.md")
    page.write("For you", "just", "~/.config/just/justfile", user="tester")
    shown = page.run("For you").output
    assert page.left == []
    assert "nix-upgrade" in shown
    assert "layout    mount" in shown
    for command in (
        "just --global-justfile nix-upgrade",
        "just --global-justfile nix-clean",
        "just --justfile /usr/share/ublue-os/just/00-entry.just nix-status",
    ):
        host.run_as("tester", f"set -eu; {command}")
    everything = 'import? "/usr/share/ublue-os/just/00-entry.just"'
    assert everything in file_block(_BOTH, "docs/ujust.md", "just")
    page.write(_BOTH, "just", "~/.config/just/justfile", user="tester")
    names = host.run_as("tester", "just --global-justfile --summary").stdout.split()
    assert sorted(names) == ["nix-clean", "nix-status", "nix-upgrade", "update"]


# --- all together


@pytest.mark.usefixtures("home")
def test_backup_and_restore(host: Host, tree: Tree, place: Path, make_host: HostMaker) -> None:
    add_program(host)
    page = Page(host, "docs/backup.md")
    save, name, *copy = page.commands("Save one profile")
    page.type([save, name], user="other")
    warnings = page.run("Save the whole store").stderr.splitlines()
    assert "tar: var/nix/daemon-socket/socket: socket ignored" in warnings
    # Agents of users have sockets, too.
    assert all(warning.endswith(": socket ignored") for warning in warnings)

    new = make_host(tree)
    new.boot()
    for archive in ("nix.tar.zst", "homes.tar.zst"):
        new.copy_in(place / "host/var/tmp" / archive, f"/var/tmp/{archive}")  # noqa: S108 - on hosts
    said = page.type(page.commands("Restore it onto a new host"), host=new)
    assert "adopt: done: the store in /var/restored was taken over with " in said.output
    assert "aside keeps what the import, recover or adopt has replaced: 1" in said.output
    assert _WELL in said.output
    new.run("nix-collect-garbage")
    check_profile(new)
    check_store(new)
    assert _home(new) == "two two two active"

    lost = new.run_as("other", "readlink -f ~/.nix-profile").stdout.strip()
    new.run_as("other", "rm -r ~/.local/state ~/.nix-profile")
    new.run(f"loginctl terminate-user other; nix-collect-garbage; ! [ -e {lost} ]")
    new.run("echo 'other ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/other")
    assert "home-manager-path" in page.type(copy, user="other", host=new).stdout
    assert page.left == []
    assert _home(new).startswith("two ")


def _reboot(host: Host, tree: Tree | None = None) -> None:
    host.run("nix-collect-garbage")
    host.reboot(tree)
    assert host.failed_units() == []


@pytest.mark.usefixtures("project", "home", "service")
def test_everything_survives_a_collection_and_an_upgrade(
    host: Host, tree: Tree, place: Path
) -> None:
    before = host.run_as("tester", _PROJECT).stdout
    assert before.endswith("-rg/bin/rg\nripgrep of the project\n")
    _reboot(host, tree.changed(place / "newer", "echo newer >/usr/share/newer"))
    assert host.read("/usr/share/newer") == "newer\n"
    lingering = "runuser -u other -- env XDG_RUNTIME_DIR=/run/user/1001 systemctl --user"
    # The user has not logged in yet.
    assert host.run(f"{lingering} is-active greet.service").stdout == "active\n"
    assert _home(host) == "two two two active"
    host.run_as("other", "[ -x ~/.local/state/nix/profiles/home-manager-1-link/activate ]")
    after = host.run_as("tester", _PROJECT)
    assert (after.stdout, "building" in after.stderr) == (before, False)
    assert _states(host) == "active\ninactive\n"
    assert "could not be found" in host.run("systemctl status linked", check=False).stderr
    host.run("systemctl daemon-reload; systemctl start linked.service")
    assert _WELL in host.run("nix-aurora doctor").output


@pytest.mark.usefixtures("project", "home", "service")
def test_namespace_layout_shows_everything_only_in_its_shell(host: Host) -> None:
    host.run("nix-aurora mount disable")
    _reboot(host)
    assert host.read("/run/nix-aurora/layout") == "namespace\n"
    assert _states(host) == "active\ninactive\n"
    outside = host.run_as("other", "cat ~/.config/greet/two", check=False)
    assert "No such file" in outside.stderr
    assert host.run_as("other", "nix-aurora shell cat .config/greet/two").stdout == "two\n"
    status = host.run_as("other", "systemctl --user status greet.service", check=False)
    assert "could not be found" in status.stderr
    inside = host.run_as("tester", f'nix-aurora shell sh -c "{_PROJECT}"').stdout
    assert inside.endswith("ripgrep of the project\n")
    assert host.run_as("tester", _PROJECT, check=False).returncode != 0
    host.run("nix-aurora mount enable --yes")
    _reboot(host)
    assert _home(host) == "two two two active"
