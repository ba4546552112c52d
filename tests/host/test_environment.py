"""Test users' environments: the same in every shell and in the desktop session."""

import json
import shlex
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host

_DEFAULT = "/nix/var/nix/profiles/default"
_HOME = "/var/home/tester"
_OWN = f"{_HOME}/.nix-profile"
_SYSTEM = "/usr/local/share:/usr/share"
_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"  # the bundle of this host
_NAMES = "PATH|NIX_PROFILES|XDG_DATA_DIRS|NIX_SSL_CERT_FILE|LD_LIBRARY_PATH"
_SHOW = f"/usr/bin/env | /usr/bin/grep -E '^({_NAMES})=' || :"
_ENV = "/run/nix-aurora/env"
_FISH = "/usr/share/fish/vendor_conf.d/nix-aurora.fish"
_GENERATOR = "/usr/lib/systemd/user-environment-generators/60-nix-aurora"
_BREW_PATH = "/home/linuxbrew/.linuxbrew/bin"

# Each shell reads the file in its strictest mode, and reads it twice, which must not change the
# result.
_TWICE = f". /etc/profile.d/nix.sh; . /etc/profile.d/nix.sh; {_SHOW}"
_READ = {
    "dash": ["/usr/bin/dash", "-euc", _TWICE],
    "bash": ["/usr/bin/bash", "-euc", _TWICE],
    "bash as sh": ["/usr/bin/bash", "--posix", "-euc", _TWICE],
    "zsh": ["/usr/bin/zsh", "-feuc", _TWICE],
    "zsh as Fedora's": ["/usr/bin/zsh", "-feuc", f"f() {{ emulate -L ksh; {_TWICE}; }}; f"],
    "fish": ["/usr/bin/fish", "--no-config", "-c", f"source {_FISH}; source {_FISH}; {_SHOW}"],
}
# This creates a profile with programs and data.
_PROFILE = f"""
mkdir -p {_HOME}/stand-in/bin {_HOME}/stand-in/share
ln -s stand-in {_OWN}
"""
# These are the changes of PATH by Universal Blue's brew.sh and ublue-brew.fish (ublue-os/brew,
# 2026): Homebrew comes after the system, and only in interactive shells.
_BREW = f"""
cat >/etc/profile.d/brew.sh <<'END'
if [ "${{-#*i}}" != "$-" ]; then
    export PATH="${{PATH}}:{_BREW_PATH}"
fi
END
mkdir -p /etc/fish/conf.d /var/home/linuxbrew/.linuxbrew/bin
cat >/etc/fish/conf.d/ublue-brew.fish <<'END'
if status --is-interactive
    fish_add_path --move --append --path {_BREW_PATH}
end
END
"""
_NO_BREW = "rm -r /etc/profile.d/brew.sh /etc/fish/conf.d/ublue-brew.fish /var/home/linuxbrew"


@pytest.fixture
def host(nix_host: Host) -> Iterator[Host]:
    """Yield a host whose first user has a profile during a test."""
    nix_host.run(_PROFILE)
    yield nix_host
    nix_host.run(f"rm -r {_HOME}/stand-in {_OWN}")


def _parse(output: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in output.splitlines() if "=" in line)


def _expected(path: str = "/usr/bin") -> dict[str, str]:
    """Return the variables of the user with the profile, in a shell that began with ``path``."""
    return {
        "PATH": f"{_OWN}/bin:{_DEFAULT}/bin:{path}",
        "NIX_PROFILES": f"{_DEFAULT} {_OWN}",
        "XDG_DATA_DIRS": f"{_SYSTEM}:{_OWN}/share:{_DEFAULT}/share",
        "NIX_SSL_CERT_FILE": _BUNDLE,
    }


def _read(host: Host, **variables: str) -> dict[str, str]:
    """Return the file's effect on ``variables``, which must be the same in every shell."""
    pairs = [f"{name}={value}" for name, value in variables.items()]
    seen = {
        shell: _parse(host.run(shlex.join(["env", "-i", *pairs, *command])).stdout)
        for shell, command in _READ.items()
    }
    assert seen == dict.fromkeys(seen, seen["dash"])
    return seen["dash"]


# --- the files


def test_profile_is_found(host: Host) -> None:
    assert _read(host, PATH="/usr/bin", HOME=_HOME) == _expected()


def test_users_own_variables_stay(host: Host) -> None:
    own = {
        "PATH": f"/first:{_OWN}/bin:/last",
        "NIX_PROFILES": "/elsewhere",
        "XDG_DATA_DIRS": f"/mine:{_DEFAULT}/share",
        "NIX_SSL_CERT_FILE": "/my/bundle",
    }
    assert _read(host, HOME=_HOME, **own) == {
        "PATH": f"{_DEFAULT}/bin:/first:{_OWN}/bin:/last",
        "NIX_PROFILES": f"/elsewhere {_DEFAULT} {_OWN}",
        "XDG_DATA_DIRS": f"/mine:{_DEFAULT}/share:{_OWN}/share",
        "NIX_SSL_CERT_FILE": "/my/bundle",
    }


def test_only_existing_directories_are_added(host: Host) -> None:
    host.run(f"rmdir {_HOME}/stand-in/share; mv {_OWN} {_HOME}/away; ln -s nowhere {_OWN}")
    try:
        dangling = _read(host, PATH="/usr/bin", HOME=_HOME)
        assert dangling["PATH"] == f"{_DEFAULT}/bin:/usr/bin"
        assert dangling["NIX_PROFILES"] == _DEFAULT
        host.run(f"mv -T {_HOME}/away {_OWN}")
        no_data = _read(host, PATH="/usr/bin", HOME=_HOME)
        assert no_data["PATH"] == _expected()["PATH"]
        assert no_data["XDG_DATA_DIRS"] == f"{_SYSTEM}:{_DEFAULT}/share"
    finally:
        host.run(f"mkdir {_HOME}/stand-in/share")


def test_profile_in_the_xdg_place_is_preferred(host: Host) -> None:
    for state, variables in (
        (f"{_HOME}/.local/state", {}),
        (f"{_HOME}/my state", {"XDG_STATE_HOME": f"{_HOME}/my state"}),
    ):
        host.run(f"mkdir -p '{state}/nix/profile/bin'")
        seen = _read(host, PATH="/usr/bin", HOME=_HOME, **variables)
        host.run(f"rm -r '{state}/nix/profile'")
        assert seen["PATH"] == f"{state}/nix/profile/bin:{_DEFAULT}/bin:/usr/bin"


def test_home_may_be_missing_or_contain_spaces(host: Host) -> None:
    seen = _read(host, PATH="/usr/bin")
    assert seen["PATH"] == f"{_DEFAULT}/bin:/usr/bin"
    host.run("mkdir -p '/run/a home/.nix-profile/bin'")
    seen = _read(host, PATH="/usr/bin", HOME="/run/a home")
    assert seen["PATH"] == f"/run/a home/.nix-profile/bin:{_DEFAULT}/bin:/usr/bin"
    assert seen["NIX_PROFILES"] == _DEFAULT  # a list that shells split at spaces


def test_hosts_bundle_has_priority_over_the_packaged_one(host: Host) -> None:
    fedora = "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"
    boot = "systemctl restart nix-layout.service"
    host.run(f"mkdir -p {fedora.rpartition('/')[0]}; echo authorities >{fedora}; {boot}")
    seen = [_read(host, HOME=_HOME, PATH="/usr/bin")]
    host.run(f"rm -r /etc/pki; mv {_BUNDLE} {_BUNDLE}.away")
    lost = _read(host, HOME=_HOME, PATH="/usr/bin")
    host.run(boot)
    seen.append(_read(host, HOME=_HOME, PATH="/usr/bin"))
    host.run(f"mv {_BUNDLE}.away {_BUNDLE}; {boot}")
    assert [variables["NIX_SSL_CERT_FILE"] for variables in seen] == [
        fedora,
        f"{_DEFAULT}/etc/ssl/certs/ca-bundle.crt",
    ]
    assert "NIX_SSL_CERT_FILE" not in lost  # a missing bundle is not named


def test_every_reader_finds_the_same_layout(host: Host) -> None:
    """Read the layout with sh, zsh, systemd and Python, which parse KEY=VALUE differently."""
    code = (
        "import sys; sys.path.insert(0, '/usr/lib/nix-aurora')\n"
        "from nix_aurora_host import layouts\n"
        "for key, value in layouts.read_chosen().items():\n"
        "    print(f'NIX_AURORA_{key.upper()}={value}')"
    )
    commands = (
        ["dash", "-c", f". {_ENV}; set"],
        ["zsh", "-fc", f". {_ENV}; set"],
        ["systemd-run", "--quiet", "--pipe", f"--property=EnvironmentFile={_ENV}", "env"],
        ["python3", "-I", "-c", code],
    )
    seen = []
    for command in commands:
        found = _parse(host.run(shlex.join(command)).stdout)
        seen.append({name: value.strip("'") for name, value in found.items() if "AURORA" in name})
    assert len(seen[0]) >= 10
    assert seen == [seen[0]] * len(commands)
    assert seen[0]["NIX_AURORA_LAYOUT"] == "mount"
    assert seen[0]["NIX_AURORA_CA_BUNDLE"] == _BUNDLE
    assert host.run(f"stat --format=%U:%a {_ENV}").stdout == "root:644\n"


def test_mount_layout_is_the_default_without_a_boot(host: Host) -> None:
    """Remove the state of the boot, as in a container or during the build of an image."""
    before = _read(host, HOME=_HOME, PATH="/usr/bin")
    host.run(f"mv {_ENV} {_ENV}.away")
    try:
        after = _read(host, HOME=_HOME, PATH="/usr/bin")
        assert host.run_as("tester", "nix --version").stdout == "nix (Nix) 2.34.8\n"
    finally:
        host.run(f"mv {_ENV}.away {_ENV}")
    # /etc/profile.d/nix.sh then tries Fedora's place for the bundle.
    del before["NIX_SSL_CERT_FILE"]
    assert after == before


def test_no_helper_variables_remain_in_a_shell(host: Host) -> None:
    count = "set | grep -c -e ^__nix -e ^NIX_AURORA || :"
    for command in (["dash"], ["bash"], ["/usr/bin/zsh", "-f"]):
        script = shlex.join([*command, "-c", f". /etc/profile.d/nix.sh; {count}"])
        assert host.run(script, env={"HOME": _HOME}).stdout == "0\n"


# --- shells and sessions


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_login_shell_has_the_environment(host: Host, shell: str) -> None:
    seen = _parse(host.run_as("tester", _SHOW, shell=shell).stdout)
    start = seen["PATH"].removeprefix(f"{_OWN}/bin:{_DEFAULT}/bin:")
    assert start.startswith("/usr/local/bin:/usr/bin:")
    assert "nix" not in start
    assert seen == _expected(start)
    # A nested shell finds the same values, and adds nothing.
    inner = f"{shell} -lc {shlex.quote(_SHOW)}"
    assert _parse(host.run_as("tester", inner, shell=shell).stdout) == seen


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_interactive_shell_without_a_login_has_the_environment(host: Host, shell: str) -> None:
    script = f"export PATH=/usr/bin; {shell} -ic {shlex.quote(_SHOW)}"
    seen = _parse(host.run_as("tester", script, login=False).stdout)
    assert seen == _expected()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_homebrew_comes_last(host: Host, shell: str) -> None:
    host.run(_BREW)
    try:
        script = f"export PATH=/usr/bin; {shell} -ic {shlex.quote(_SHOW)}"
        seen = _parse(host.run_as("tester", script, login=False).stdout)
        assert seen["PATH"] == f"{_OWN}/bin:{_DEFAULT}/bin:/usr/bin:{_BREW_PATH}"
    finally:
        host.run(_NO_BREW)


def test_users_manager_and_its_units_have_the_environment(host: Host) -> None:
    host.linger("tester")
    host.run(r"""printf '[Service]\nType=oneshot\nExecStart=sh -c "env >%%t/of-unit"\n' \
        >/etc/systemd/user/show.service""")
    unit = "systemctl --user start show && cat $XDG_RUNTIME_DIR/of-unit"
    # A reload runs the generators again.
    manager = "systemctl --user daemon-reload && systemctl --user --output=json show-environment"
    seen = json.loads(host.run_as("tester", manager).stdout)
    of_unit = _parse(host.run_as("tester", unit).stdout)
    start = seen["PATH"].removeprefix(f"{_OWN}/bin:{_DEFAULT}/bin:")
    assert "nix" not in start
    for name, value in _expected(start).items():
        assert seen[name] == of_unit[name] == value
    assert "LD_LIBRARY_PATH" not in of_unit


def test_generator_quotes_values(host: Host) -> None:
    home = '/run/a "$HOME" `\\'
    host.run(f"mkdir -p {shlex.quote(home)}/.nix-profile/bin")
    lines = host.run(_GENERATOR, env={"HOME": home, "PATH": "/usr/bin"}).stdout.splitlines()
    assert lines[0] == (rf'PATH="/run/a \"\$HOME\" \`\\/.nix-profile/bin:{_DEFAULT}/bin:/usr/bin"')


# --- a first package


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_first_package_is_found_in_the_running_shell(nix_host: Host, shell: str) -> None:
    script = f"""
    touch ~/.zshrc
    {shell} -il <<'END' 2>/dev/null
    greet
    mkdir -p .nix-profile/bin && printf '#!/bin/sh\\necho greeting' >.nix-profile/bin/greet
    chmod +x .nix-profile/bin/greet
    greet
    (exit 7)
    echo "status $?"
    . /etc/profile.d/nix.sh
    echo "path $PATH"
END
    rm -r ~/.nix-profile ~/.zshrc"""
    output = nix_host.run_as("tester", script, login=False).stdout
    assert output.count("greeting") == 1
    assert "status 7\n" in output
    assert output.count(f"{_OWN}/bin") == 1


def test_first_package_is_found_in_a_running_fish(nix_host: Host) -> None:
    # Without a terminal, fish prints no prompts itself, so the script emits the event.
    script = """fish -ic '
        emit fish_prompt; contains ~/.nix-profile/bin $PATH; and echo early
        mkdir -p ~/.nix-profile/bin
        emit fish_prompt; contains ~/.nix-profile/bin $PATH; and echo found
        functions --query __nix_seek; or echo gone'
        rm -r ~/.nix-profile"""
    lines = nix_host.run_as("tester", script, login=False).stdout.splitlines()
    assert [line for line in lines if "fish" not in line] == ["found", "gone"]
