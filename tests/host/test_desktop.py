"""Test that the desktop finds a program that Nix installed, finds its icon, and starts it.

The host has no display: desktop.py calls the libraries that desktops use. It runs in a session as
desktops start it: by a display manager's helper through the user's login shell, and by the user's
systemd.
"""

import json
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.nspawn import Host
from tests.harness.roots import MORE
from tests.harness.tree import atomic_tree, layer_rpms
from tests.packages import PackageMaker, fit_for_sample

_LOOK = "/usr/bin/python3 /srv/desktop.py"
_SHARE = "/var/home/tester/.nix-profile/share"
_HICOLOR = "icons/hicolor/48x48/apps"
# As in most packages, the entry names its program without a directory, so the session's PATH has to
# contain it.
_EXPRESSION = r"""
{ name }: derivation {
  inherit name;
  system = builtins.currentSystem;
  entry = ''
    [Desktop Entry]
    Type=Application
    Name=${name}
    Exec=${name}
    Icon=${name}
  '';
  builder = "/bin/sh";
  args = [ "-c" ''
    mkdir -p $out/bin $out/share/applications $out/share/ICONS
    printf '#!/bin/sh\necho this is %s\n' $name >$out/bin/$name
    chmod +x $out/bin/$name
    echo "$entry" >$out/share/applications/$name.desktop
    echo '<svg xmlns="http://www.w3.org/2000/svg"/>' >$out/share/ICONS/$name.svg
  '' ];
}
""".replace("ICONS", _HICOLOR)
_ADD = "nix profile add --file /srv/program.nix --argstr name"
_UNIT = f"""
[Service]
Type=oneshot
ExecStart={_LOOK} %i
StandardOutput=file:%t/%i
"""
# These are the steps between a display manager's helper and the session, reduced to their effect,
# with the session as their arguments. The scripts of sddm and plasmalogin copy the variables of a
# login fish into their own shell. For other shells, sddm's script reads the files directly
# (sddm/sddm data/scripts/wayland-session at 0befd90d61b001308ec95837454c66a7ce487336), while
# plasmalogin's starts them as login shells (KDE/plasma-login-manager data/scripts/wayland-session
# at 22d859c96bf30aee54a8ab5aecf2bf106c570869).
_FISH = r"""
. /etc/profile
eval "$(fish --login -c 'sh -c "export -p"')"
exec "$@"
"""
_SDDM = rf"""
case ${{SHELL##*/}} in
    bash) exec bash -c '. /etc/profile; [ ! -f ~/.bash_profile ] || . ~/.bash_profile
        exec "$@"' bash "$@" ;;
    zsh) exec zsh -c 'zdir=/etc; [ ! -d /etc/zsh ] || zdir=/etc/zsh
        for file in $zdir/zprofile ~/.zprofile $zdir/zlogin ~/.zlogin; do
            [ ! -f $file ] || . $file
        done
        exec "$@"' zsh "$@" ;;
esac
{_FISH}"""
_PLASMALOGIN = rf"""
case ${{SHELL##*/}} in
    bash | zsh) exec "$SHELL" --login -c 'exec "$@"' "$SHELL" "$@" ;;
esac
{_FISH}"""
# gdm leaves this to gnome-session, which restarts itself in a login shell (GNOME/gnome-session
# gnome-session/leader-main.c at 5b4be980136da08022dd21b5a602860d5d0f73ac).
_GDM = """exec bash -c 'exec -l "$SHELL" -c "$*"' bash exec "$@" """
_MANAGERS = {"sddm": _SDDM, "plasmalogin": _PLASMALOGIN, "gdm": _GDM}


@pytest.fixture(scope="module")
def host(package: PackageMaker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host with the libraries, whose user has added the program ``first``."""
    place = tmp_path_factory.mktemp("desktop")
    tree = layer_rpms(atomic_tree(nix_dir=True, extra=(MORE,)), [package()], place / "rpms")
    with Host(fit_for_sample(tree, place / "settings"), place / "host") as host:
        (place / "program.nix").write_text(_EXPRESSION)
        host.copy_in(place / "program.nix", "/srv/program.nix")
        host.copy_in(Path(__file__).with_name("desktop.py"), "/srv/desktop.py")
        for name, script in _MANAGERS.items():
            (place / name).write_text(script)
            host.copy_in(place / name, f"/srv/{name}")
        (place / "unit").write_text(_UNIT)
        host.copy_in(place / "unit", "/etc/systemd/user/look@.service")
        host.run_as("tester", f"{_ADD} first")
        yield host
        assert host.failed_units() == []


def _looked(output: str, name: str) -> dict[str, str]:
    """Check that every part of ``name`` was found in the user's profile; return the variables."""
    *said, seen = output.splitlines()
    found = json.loads(seen)
    env = found.pop("env")
    assert (said, found) == (
        [f"this is {name}"],
        {
            "entry": f"{_SHARE}/applications/{name}.desktop",
            "icon": f"{_SHARE}/{_HICOLOR}/{name}.svg",
            "exit": 0,
        },
    )
    return dict(env)


def _login(host: Host, manager: str, shell: str, command: str) -> str:
    """Return the output of a session of tester: a PAM session, then the manager's script."""
    settings = ("PAMName=login", "WorkingDirectory=~", "StandardInput=null")
    host.run(f"usermod --shell /usr/bin/{shell} tester")
    begin = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--uid=tester"]
    begin += [f"--property={setting}" for setting in settings]
    script = f"{shlex.join(begin)} sh /srv/{manager} {command}"
    return host.run(script).stdout


def _start(host: Host, name: str) -> dict[str, str]:
    """Look for the program in a unit of the user's systemd; return the unit's variables."""
    script = f"systemctl --user start look@{name} && cat $XDG_RUNTIME_DIR/{name}"
    return _looked(host.run_as("tester", script).stdout, name)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("manager", _MANAGERS)
def test_session_of_a_display_manager_finds_the_program(
    host: Host, manager: str, shell: str
) -> None:
    env = _looked(_login(host, manager, shell, f"{_LOOK} first"), "first")
    assert env["XDG_DATA_DIRS"].startswith("/usr/local/share:/usr/share:")
    assert env["XDG_SESSION_ID"]  # this is a session of logind


def test_users_systemd_finds_the_program_and_later_ones(host: Host) -> None:
    host.linger("tester")
    # The first login after a package was added starts a new manager.
    host.run("systemctl restart user@$(id --user tester).service")
    shown = host.run_as("tester", "systemctl --user --output=json show-environment").stdout
    env = _start(host, "first")
    assert env["XDG_DATA_DIRS"] == json.loads(shown)["XDG_DATA_DIRS"]
    host.run_as("tester", f"{_ADD} later")
    later = _start(host, "later")
    for name in ("PATH", "XDG_DATA_DIRS"):
        assert later[name] == env[name]


def test_program_is_not_found_without_the_sessions_variables(host: Host) -> None:
    script = f"env --unset=XDG_DATA_DIRS {_LOOK} first"
    found = json.loads(host.run_as("tester", script).stdout)
    assert (found["entry"], found["icon"]) == (None, None)
