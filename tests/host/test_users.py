"""Test what ordinary users do with Nix, on a booted host with the real package."""

import re
import shlex
from collections.abc import Iterator

import pytest

from tests.harness.nspawn import Host
from tests.host.expressions import ADD_BASH, copy_expressions

_SHELLS = ["bash", "zsh", "fish"]
# The sandbox has only these top directories, and no others of the host.
_SANDBOX = "bin build dev etc nix proc tmp"
_PEOPLE = ("tester", "other")


@pytest.fixture(scope="module")
def host(nix_host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield a host with the expressions in /srv."""
    copy_expressions(nix_host, tmp_path_factory.mktemp("expressions"))
    yield nix_host
    assert nix_host.failed_units() == []


def _build(name: str, *, seconds: int = 0) -> str:
    return (
        f"nix build --no-link --print-out-paths --file /srv/who.nix"
        f" --argstr name {name} --argstr seconds {seconds}"
    )


def _facts(host: Host, path: str) -> dict[str, str]:
    """Return the facts that the builder of a who.nix recorded, by their kind."""
    return dict(line.split(" ", 1) for line in host.read(path).splitlines())


def _builder(host: Host, facts: dict[str, str]) -> str:
    """Return the host's name for the user of a build, according to its uid_map."""
    inside, outside, count = facts["map"].split()
    assert (inside, count) == ("1000", "1")
    return host.run(f"id -un {outside}").stdout.strip()


# --- builds


@pytest.mark.parametrize("shell", _SHELLS)
def test_build_is_sandboxed_and_runs_as_a_build_user(host: Host, shell: str) -> None:
    output = host.run_as("tester", _build(f"who-{shell}"), shell=shell).stdout
    facts = _facts(host, output.strip())
    assert re.fullmatch(r"nixbld[0-9]+", _builder(host, facts))
    assert facts["id"].startswith("uid=1000(nixbld) gid=100(nixbld)")
    assert facts["top"] == _SANDBOX


@pytest.mark.parametrize("shell", _SHELLS)
def test_an_added_program_starts_by_its_name(host: Host, shell: str) -> None:
    add = f"nix profile add --file /srv/greet.nix --argstr name greet-{shell}"
    host.run_as("tester", add, shell=shell)
    assert host.run_as("tester", f"greet-{shell}", shell=shell).stdout == (
        f"greeting from greet-{shell}\n"
    )


def test_older_commands_work(host: Host) -> None:
    script = """
    nix-env --file /srv/greet.nix --install && greet_path=$(nix-build --no-out-link /srv/greet.nix)
    nix-store --query --references "$greet_path"
    nix-instantiate --eval --expr '1 + 1'
    """
    assert host.run_as("other", script).stdout.splitlines()[-1] == "2"
    assert host.run_as("other", "greet").stdout == "greeting from greet\n"


def test_older_nix_shell_enters_a_local_expression(host: Host) -> None:
    script = """NIX_BUILD_SHELL=/bin/bash nix-shell /srv/greet.nix --run 'echo "$greeting"'"""
    assert host.run_as("tester", script).stdout == "from greet\n"


def test_nix_develop_enters_a_local_expression(host: Host) -> None:
    bash = host.run_as("tester", ADD_BASH).stdout.strip()
    script = f"nix develop --file /srv/develop.nix --argstr bash {bash} -c printenv greeting"
    assert host.run_as("tester", script).stdout == "from develop\n"


def test_nix_shell_starts_a_program(host: Host) -> None:
    script = "nix shell --file /srv/greet.nix -c greet"
    assert host.run_as("other", script).stdout == "greeting from greet\n"


def test_flake_is_built(host: Host) -> None:
    script = """
    mkdir -p flake && cp /srv/greet.nix flake/ && cd flake
    echo '{ outputs = _: { packages.x86_64-linux.default = import ./greet.nix { }; }; }' >flake.nix
    sed -i 's/builtins.currentSystem/"x86_64-linux"/' greet.nix
    nix run .
    """
    assert host.run_as("tester", script).stdout == "greeting from greet\n"


# --- many builds at once


def test_two_users_build_at_once(host: Host) -> None:
    for person in _PEOPLE:
        job = f"su --login {person} --command {shlex.quote(_build(f'at-once-{person}', seconds=2))}"
        host.run(f"{{ {job} >/run/{person} 2>&1 </dev/null || :; touch /run/{person}.done; }} &")
    host.run("until [ -e /run/tester.done ] && [ -e /run/other.done ]; do sleep 0.1; done")
    facts = [_facts(host, host.read(f"/run/{person}").split()[-1]) for person in _PEOPLE]
    assert len({_builder(host, of_one) for of_one in facts}) == 2
    spans = [[float(time) for time in of_one["span"].split()] for of_one in facts]
    assert max(start for start, _ in spans) < min(end for _, end in spans)


def test_twenty_builds_at_once_succeed(host: Host) -> None:
    one = _build("twenty-$number", seconds=1)
    script = f"""
    for number in $(seq 20); do {one} >twenty-$number & done 2>twenty.log
    wait
    cat twenty-*"""
    paths = host.run_as("tester", script).stdout.split()
    assert len(set(paths)) == 20
    facts = [_facts(host, path) for path in paths]
    assert len({_builder(host, of_one) for of_one in facts}) > 5


# --- caches


def test_local_cache_is_used(host: Host) -> None:
    path = host.run_as("tester", _build("cached")).stdout.strip()
    before = host.read(path)
    host.run(f"""
    nix copy --to file:///srv/cache {path}
    cp /etc/nix/nix.custom.conf /run/
    echo 'substituters = file:///srv/cache?trusted=1' >>/etc/nix/nix.custom.conf
    systemctl restart nix-daemon.service
    nix store delete {path}
    [ ! -e {path} ]""")
    try:
        # By default, nix build contacts no cache if it sees no network.
        result = host.run_as("tester", f"{_build('cached')} --option substitute true")
        assert "copying path" in result.stderr
        assert "building" not in result.stderr
        assert host.read(path) == before
    finally:
        host.run("mv /run/nix.custom.conf /etc/nix/; systemctl restart nix-daemon.service")


def test_user_cannot_add_a_cache_or_disable_the_sandbox(host: Host) -> None:
    path = host.run_as("tester", _build("forged")).stdout.strip()
    host.run(f"nix copy --to file:///srv/forged {path}; nix store delete {path}")
    options = (
        "--option substitute true --option substituters 'file:///srv/forged?trusted=1'"
        " --option require-sigs false --option sandbox false"
    )
    result = host.run_as("tester", f"{_build('forged')} {options}")
    assert "building" in result.stderr
    assert "not a trusted user" in result.stderr
    assert _facts(host, path)["top"] == _SANDBOX


# --- forbidden actions


@pytest.mark.parametrize(
    "attempt",
    [
        "touch /nix/store/new",
        "touch /nix/store/*-who-bash",
        "echo x >>/nix/store/*-who-bash",
        "mv /nix/store/*-who-bash /nix/store/elsewhere",
        "echo x >>/nix/var/nix/db/db.sqlite",
        "rm /nix/var/nix/db/db.sqlite",
        "touch /nix/var/nix/profiles/new",
        "rm /nix/var/nix/profiles/default",
        "touch /nix/var/nix/gcroots/new",
        "rm -r /nix/var/nix/gcroots/nix-aurora",
        "touch /nix/var/nix/profiles/per-user/new",
        "rm -r /nix/var/nix/daemon-socket",
        "rm /var/lib/nix/.nix-aurora/imported",
        "touch /var/lib/nix/.nix-aurora/new",
        "touch /var/lib/nix/new",
        "ls ~other/.local/state/nix/profiles",
        "rm ~other/.nix-profile",
        "nix-env --profile /nix/var/nix/profiles/default --uninstall nix",
        "nix profile add --profile ~other/.nix-profile --file /srv/greet.nix",
        "echo x >>/etc/nix/nix.conf",
    ],
)
def test_forbidden_actions_of_a_user_fail(host: Host, attempt: str) -> None:
    result = host.run_as("tester", attempt, check=False)
    assert result.returncode != 0
    assert re.search("Permission denied|Operation not permitted", result.stderr), result.output


def test_only_root_is_trusted(host: Host) -> None:
    assert host.run("nix config show trusted-users").stdout == "root\n"
    for person in _PEOPLE:  # the first person is in wheel
        assert '"trusted":false' in host.run_as(person, "nix store info --json").stdout


def test_sudo_uses_the_daemon(host: Host) -> None:
    info = host.run_as("tester", "sudo -n nix store info --json").stdout
    assert '"trusted":true' in info
    assert '"url":"daemon"' in info
    for command in (
        "nix-build --no-out-link /srv/greet.nix",
        "nix-env --file /srv/greet.nix --install",
        "nix-env --uninstall greet",
        "nix-store --gc",
        "nix-collect-garbage",
        "nix-store --verify",
    ):
        host.run_as("tester", f"sudo -n {command}")
    # root gets everything that it requests itself.
    direct = host.run("NIX_REMOTE=local nix store info --json").stdout
    assert '"url":"local"' in direct


# --- after a reboot


def test_lingering_users_unit_in_the_store_starts_with_the_host(host: Host) -> None:
    host.run_as(
        "other",
        """
        nix profile add --file /srv/greet.nix --argstr name unit || exit
        mkdir -p ~/.config/systemd/user/default.target.wants
        ln -s ~/.nix-profile/share/systemd/user/unit.service ~/.config/systemd/user/
        ln -s ../unit.service ~/.config/systemd/user/default.target.wants/
        """,
    )
    host.linger("other")
    host.reboot()
    assert host.run_as("other", "systemctl --user is-active unit.service").stdout == "active\n"
    assert "imported" not in host.journal("nix-setup.service")
    for shell in _SHELLS:
        host.run_as("tester", f"greet-{shell}", shell=shell)
