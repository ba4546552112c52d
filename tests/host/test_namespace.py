"""Test Nix on a host whose root directory cannot get a /nix: the namespace layout."""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.commands import Result
from tests.harness.nspawn import Host
from tests.harness.tree import Tree
from tests.host.conftest import HostMaker, NixTreeMaker
from tests.host.doctor import cure, doctor
from tests.host.drivers import LINK, nixpkgs
from tests.host.expressions import ADD_BASH, copy_expressions
from tests.host.terminal import at_terminal
from tests.whole import derivation

_WITH_NIX = "/usr/libexec/nix-aurora/with-nix"
_INSIDE = "nix-aurora shell"
# This adds an administrator's directories to the image, and a name that tables of mounts escape.
_IMAGE = r"""
mkdir /data '/my \data'
echo text | tee /data/file '/my \data/file' >/.file
ln -s data/file '/a link'
"""
# This prints name, kind, mode and target of everything in /. Owners are left out: they differ,
# since the namespace knows only its own user.
_TOP = "cd /; shopt -s dotglob; stat --format='%F %a %N' *"
_COMMANDS = (
    *("nix", "nix-build", "nix-channel", "nix-collect-garbage", "nix-env", "nix-hash"),
    *("nix-instantiate", "nix-shell", "nix-store"),
)
# This listens like a display server, at the place where its clients connect.
_LISTEN = """
import os, socket, sys
for path in sys.argv[1:]:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        os.chmod(path, 0o777)
        client, _ = server.accept()
        client.sendall(b"welcome")
"""
_CONNECT = """
import socket, sys, time
with socket.socket(socket.AF_UNIX) as client:
    while client.connect_ex(sys.argv[1]):
        time.sleep(0.1)
    print(client.recv(7, socket.MSG_WAITALL).decode())
"""


@pytest.fixture(scope="module")
def tree(make_nix_tree: NixTreeMaker, tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """Return a host without /nix, whose image has additional top-level directories."""
    return make_nix_tree(nix_dir=False, layout="namespace").changed(
        tmp_path_factory.mktemp("tree") / "image", _IMAGE
    )


@pytest.fixture(scope="module")
def host(tree: Tree, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Yield the tree's host after its first boot, with expressions and programs in /srv."""
    place = tmp_path_factory.mktemp("namespace")
    with Host(tree, place / "host") as host:
        (place / "files").mkdir()
        copy_expressions(host, place / "files")
        for name, text in {"listen": _LISTEN, "connect": _CONNECT}.items():
            (place / name).write_text(text)
            host.copy_in(place / name, f"/srv/{name}.py")
        yield host
        assert host.failed_units() == []
        assert host.run("[ -e /nix ] || [ -L /nix ]", check=False).returncode


def _build(host: Host, options: str = "--no-link") -> str:
    """Build something new as tester; return the outside path of the builder's output."""
    command = f"nix build --impure --print-out-paths {options} --expr "
    done = host.run_as("tester", command + derivation("cat /proc/self/uid_map >$out"))
    return done.stdout.strip().replace("/nix", "/var/lib/nix", 1)


def _both(host: Host, script: str) -> tuple[Result, Result]:
    """Run a bash script as tester without and with the namespace; return both results."""
    command = shlex.join(["bash", "-c", script])
    return host.run_as("tester", command), host.run_as("tester", f"{_WITH_NIX} {command}")


# --- commands


def test_namespace_layout_is_chosen(host: Host) -> None:
    assert host.run("mkdir /nix", check=False).returncode == 1
    assert json.loads(host.run_as("tester", "nix-aurora status --json").stdout)["layout"] == (
        "namespace"
    )
    text = host.run_as("tester", "nix-aurora status").stdout
    assert "to enable it: sudo nix-aurora mount enable" in text
    assert max(map(len, text.splitlines())) <= 100


def test_doctor_finds_the_layout_healthy_and_names_the_other(host: Host) -> None:
    for user in ("tester", "root"):
        told = json.loads(host.run_as(user, "nix-aurora doctor --json").stdout)
        found = {finding["id"]: finding for finding in told["findings"]}
        assert told["well"]
        assert found["nix-directory-missing"]["fix"] == "sudo nix-aurora mount enable"
    host.run_as("tester", f"{_INSIDE} nix-aurora doctor")


@pytest.mark.parametrize("line", ["max-jobs = lots", "include missing.conf"])
def test_mistake_in_the_settings_is_named_and_its_fix_cures_it(host: Host, line: str) -> None:
    own = "/etc/nix/nix.custom.conf"
    host.run(f"cp {own} /srv/custom; printf '%s\\n' {shlex.quote(line)} 'cores = 1' >>{own}")
    number = len(host.read(own).splitlines()) - 1
    for user in ("tester", "root"):
        (found,) = doctor(host, user)
        assert found["id"] == "nix-conf-broken"
        assert f" {own}, line {number}: " in found["message"]
    cure(host, [found])
    assert host.read(own).endswith(f"\n# {line}\ncores = 1\n")
    _build(host)
    host.run(f"cp /srv/custom {own}; systemctl try-restart nix-daemon.service")


@pytest.mark.parametrize("command", _COMMANDS)
def test_each_command_runs_by_its_plain_name(host: Host, command: str) -> None:
    for by in ("", "sudo -n "):
        result = host.run_as("tester", f"{by}{command} --version")
        assert result.stdout == f"{command} (Nix) 2.34.8\n"
        assert result.stderr == ""


def test_users_build_is_sandboxed_and_runs_as_a_build_user(host: Host) -> None:
    inside, outside, count = host.read(_build(host)).split()
    assert (inside, count) == ("1000", "1")
    assert re.fullmatch("nixbld[0-9]+", host.run(f"id -un {outside}").stdout.strip())


def test_local_expressions_are_entered_and_run(host: Host) -> None:
    bash = host.run_as("tester", ADD_BASH).stdout.strip()
    script = f"""
    nix develop --file /srv/develop.nix --argstr bash {bash} -c printenv greeting
    NIX_BUILD_SHELL=/bin/bash nix-shell /srv/greet.nix --run 'echo "$greeting"'
    nix shell --file /srv/greet.nix -c greet
    mkdir -p flake && cp /srv/greet.nix flake/ && cd flake
    echo '{{ outputs = _: {{
        packages.x86_64-linux.default = import ./greet.nix {{ }}; }}; }}' >flake.nix
    sed -i 's/builtins.currentSystem/"x86_64-linux"/' greet.nix
    nix run .
    """
    assert host.run_as("tester", script).stdout.splitlines() == [
        *("from develop", "from greet"),
        *("greeting from greet", "greeting from greet"),
    ]


def test_sudo_uses_the_daemon_and_writes_to_the_requested_place(host: Host) -> None:
    script = """
    cd && mkdir -p of-root && cd of-root
    sudo -n nix store info --json && sudo -n nix-build /srv/greet.nix && readlink result
    """
    info, built, link = host.run_as("tester", script).stdout.splitlines()
    assert '"trusted":true' in info
    assert '"url":"daemon"' in info
    assert built == link
    assert host.run(f"NIX_REMOTE=local {_WITH_NIX} nix store info --json").stdout.startswith(
        '{"trusted":true,"url":"local"'
    )


# --- profiles


def test_added_program_starts_inside_and_a_message_says_so(host: Host) -> None:
    add = "nix profile add --file /srv/greet.nix --argstr name"
    result = host.run_as("tester", f"{add} hello")
    told = [line for line in result.stderr.splitlines() if "nix-aurora" in line]
    assert told == [
        "nix: programs of your profile start only inside 'nix-aurora shell'; to have them "
        "everywhere: sudo nix-aurora mount enable, and a reboot"
    ]
    assert host.run_as("tester", f"{_INSIDE} hello").stdout == "greeting from hello\n"
    assert host.run_as("tester", "hello", check=False).returncode == 127
    within = host.run_as("tester", f"{_INSIDE} sh -c '{add} again && again'")
    assert within.stdout == "greeting from again\n"
    assert "nix-aurora" not in within.stderr
    other = host.run_as("other", "nix-env --file /srv/greet.nix --install")
    assert other.stderr.count("nix-env: programs of your profile start only inside") == 1
    assert host.run_as("other", "nix-env --query").stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_the_environment_only_inside(host: Host, shell: str) -> None:
    add = f"nix profile add --file /srv/greet.nix --argstr name of-{shell}"
    host.run_as("tester", add, shell=shell)
    show = "printenv PATH NIX_PROFILES XDG_DATA_DIRS"
    outside = host.run_as("tester", f"{show}; true", shell=shell).stdout
    assert "nix" not in outside
    profile, default = "/var/home/tester/.nix-profile", "/nix/var/nix/profiles/default"
    for start in (shell, f"env SHELL=/usr/bin/{shell}", f"{shell} -l"):
        command = f"echo 'of-{shell}; {show}' | " + (
            f"{start} {_INSIDE}" if start.startswith("env") else f"{_INSIDE} {start}"
        )
        greeting, path, profiles, data = host.run_as("tester", command).stdout.splitlines()
        assert greeting == f"greeting from of-{shell}"
        assert path.split(":").index(f"{profile}/bin") + 1 == path.split(":").index(
            f"{default}/bin"
        )
        assert path.split(":").index(f"{default}/bin") < path.split(":").index("/usr/bin")
        assert profiles == f"{default} {profile}"
        assert data.endswith(f":{profile}/share:{default}/share")


def test_graphics_drivers_are_found_inside(host: Host) -> None:
    host.run(nixpkgs(version="1.0"))
    said = host.run_as("tester", "sudo nix-aurora gpu enable").stderr
    assert "gpu: programs find the drivers only inside nix-aurora shell" in said
    look = f"cat {LINK}/share/vulkan/icd.d/*.json"
    assert host.run_as("tester", look, check=False).returncode == 1
    host.run_as("tester", f"{_INSIDE} sh -c {shlex.quote(look)}")
    assert json.loads(host.run("nix-aurora gpu status --json").stdout)["valid"] is True
    assert doctor(host) == []
    host.run(f"nix-aurora gpu disable; [ ! -L {LINK} ]")


def test_interactive_shell_explains_itself(host: Host) -> None:
    host.run_as("tester", "nix profile add --file /srv/greet.nix --argstr name hello")
    shown = at_terminal(
        host,
        f"SHELL=/bin/bash PS1='<prompt>' {_INSIDE}",
        *(r"[$>] ?$", "hello\\r", "greeting from hello", f"{_INSIDE}\\r"),
        *("inside nix-aurora shell", "exit 3\\r", r"[$>] ?$", "exit 4\\r"),
    )
    assert shown.count("sudo, su and pkexec do not work in it") == 1
    assert shown.count("sudo nix-aurora mount enable") == 1
    assert "exit leads back to the outer one" in shown
    assert shown.endswith("exit 4\n")


def test_documented_limits_of_the_layout_hold(host: Host) -> None:
    """Processes outside of nix-aurora shell see no /nix: the user's units, direnv's hook."""
    host.run_as(
        "tester",
        """
        nix profile add --file /srv/greet.nix --argstr name unit || exit
        mkdir -p .config/systemd/user
        ln -s ~/.nix-profile/share/systemd/user/unit.service .config/systemd/user/
        nix build --out-link direnv --file /srv/greet.nix
        """,
    )
    host.linger("tester")
    started = host.run_as("tester", "systemctl --user start unit.service", check=False)
    assert (started.returncode, "not found" in started.stderr) == (5, True), started.stderr
    assert host.run_as("tester", "test -e direnv", check=False).returncode == 1
    assert host.run_as("tester", f"{_INSIDE} direnv/bin/greet").stdout == "greeting from greet\n"


# --- the same as without the namespace


def test_the_host_looks_the_same_inside(host: Host) -> None:
    outside, inside = _both(host, _TOP)
    lines = inside.stdout.splitlines()
    assert [line for line in lines if "'nix'" not in line] == outside.stdout.splitlines()
    assert "directory 755 'nix'" in lines
    assert {"directory 755 'my \\data'", "symbolic link 777 'a link' -> 'data/file'"} <= set(lines)
    (same, same_inside) = _both(host, r"cat /.file /data/file '/my \data/file' '/a link'; id -ru")
    assert same.stdout == same_inside.stdout
    assert host.run_as("tester", f"{_WITH_NIX} touch /new", check=False).returncode == 1


def test_environment_directory_ids_and_network_are_the_callers(host: Host) -> None:
    script = """cd /home; cd /home/tester
    %s bash -c 'printenv | grep -Ev "^(_|XDG_SESSION_ID)=" | sort; pwd; pwd -P; id -u; id -g
        readlink /proc/self/ns/net; ls -l /proc/self/fd | wc -l; umask'"""
    outside, inside = (
        host.run_as("tester", script % start).stdout.splitlines() for start in ("", _WITH_NIX)
    )
    assert inside == outside
    assert {"PWD=/home/tester", "OLDPWD=/home", "/var/home/tester"} <= set(inside)


@pytest.mark.parametrize(
    ("place", "become"),
    [("closed", "sudo -n -u other"), ("gone; rmdir ../gone", "sudo -n -u other"), ("gone", "")],
    ids=["closed", "removed, for another user", "removed"],
)
def test_lost_working_directory_becomes_the_root_directory(
    host: Host, place: str, become: str
) -> None:
    """Close the directory to the command's user, or remove it while the user is in it."""
    enter = f"cd; mkdir -p -m 0700 closed gone; cd {place}; [ -n '{become}' ] || rmdir ../gone; "
    for start in (
        f"{_WITH_NIX} pwd",
        f"{_INSIDE} pwd",
        "nix eval --expr 1",
        "env -u PWD nix --version",
    ):
        result = host.run_as("tester", f"{enter} {become} {start}")
        assert result.stdout in {"/\n", "1\n", "nix (Nix) 2.34.8\n"}
        told = [line for line in result.stderr.splitlines() if line.startswith("nix")]
        assert len(told) == 1, result.stderr
        assert told[0].startswith("nix-aurora: cannot enter the working directory: ")
        assert told[0].endswith("; continuing in /")


def test_process_id_stays_the_same(host: Host) -> None:
    result = host.run_as("tester", f"echo $$; exec {_WITH_NIX} bash -c 'echo $$'")
    assert len(set(result.stdout.split())) == 1


@pytest.mark.parametrize("start", [_WITH_NIX, _INSIDE])
def test_exit_codes_and_signals_pass_through(host: Host, start: str) -> None:
    script = f"""
    {start} sh -c 'exit 7'; echo $?
    {start} sh -c 'kill -9 $$'; echo $?
    {start} /nowhere/command; echo $?
    {start} bash -c 'trap "echo got it; exit 9" TERM
        echo $$ >~/ready; while :; do sleep 0.1; done' &
    until [ -s ~/ready ]; do sleep 0.1; done
    kill -TERM $!; wait $!; echo $?
    rm ~/ready
    {start} bash -c 'yes | head --lines=1; echo ${{PIPESTATUS[0]}}'
    """
    lines = host.run_as("tester", script).stdout.splitlines()
    assert lines == ["7", "137", "127", "got it", "9", "y", "141"]


def test_options_of_the_command_are_passed_on(host: Host) -> None:
    assert host.run_as("tester", f"{_INSIDE} ls -d --all /nix").stdout == "/nix\n"
    assert host.run_as("tester", f"{_INSIDE} -- printf '%s|' -- --json").stdout == "--|--json|"


def test_ctrl_c_reaches_only_the_program(host: Host) -> None:
    """Send Ctrl-C to the process group; a parent process would die of it, and end the program."""
    script = """trap "echo interrupted" INT; echo ready
    until read -r line; do :; done; echo "got $line" """
    for start in (_WITH_NIX, _INSIDE):
        command = f"{start} {shlex.join(['bash', '-c', script])}"
        shown = at_terminal(host, command, "ready", "\\x03", "interrupted", "a line\\r")
        assert "got a line" in shown
        assert shown.endswith("exit 0\n")


def test_jobs_are_controlled_inside(host: Host) -> None:
    job = """bash -c 'trap "echo continued" CONT; echo started; while :; do sleep 0.1; done'"""
    shown = at_terminal(
        host,
        f"{_INSIDE} bash --norc",
        *(r"\$ $", f"{job}\\r", "started\r\n", "\\x1a", "Stopped", "fg\\r"),
        *("continued\r\n", "\\x03", r"\$ $", "exit 5\\r"),
    )
    assert shown.endswith("exit 5\n")


def test_buses_and_displays_can_be_reached(host: Host) -> None:
    host.linger("tester")
    script = f"""
    export DISPLAY=:9 WAYLAND_DISPLAY=wayland-9
    python3 /srv/listen.py /tmp/.X11-unix/X9 $XDG_RUNTIME_DIR/wayland-9 &
    dbus-run-session -- {_INSIDE} bash -euc '
        busctl --user status >/dev/null
        busctl status >/dev/null
        systemctl --user is-active default.target
        python3 /srv/connect.py /tmp/.X11-unix/X9
        python3 /srv/connect.py $XDG_RUNTIME_DIR/wayland-9
        touch $XDG_RUNTIME_DIR/mine ~/mine /tmp/mine /var/tmp/mine
        rm $XDG_RUNTIME_DIR/mine ~/mine /tmp/mine /var/tmp/mine'
    """
    assert host.run_as("tester", script).stdout.split() == ["active", "welcome", "welcome"]


def test_namespaces_can_be_created_inside(host: Host) -> None:
    script = "unshare --user --map-root-user --mount id -u; bwrap --bind / / --unshare-all id -u"
    outside, inside = _both(host, script)
    assert outside.stdout == inside.stdout


# --- limits


@pytest.mark.parametrize("command", ["sudo", "su", "pkexec", "podman", "crontab"])
def test_program_that_needs_other_ids_is_explained(host: Host, command: str) -> None:
    result = host.run_as("tester", f"{_INSIDE} {command} -n true", check=False)
    assert (result.returncode, result.stdout) == (1, "")
    first, *hints = result.stderr.splitlines()
    assert first.startswith(f"{command}: cannot work inside nix-aurora shell")
    assert any("sudo nix-aurora mount enable" in hint for hint in hints)
    # root's own shell is not in a user namespace.
    within = f"sudo -n {_INSIDE} sudo -n /usr/libexec/nix-aurora/inside/sudo -n id -u"
    assert host.run_as("tester", within).stdout == "0\n"


_NO_NAMESPACES = """
unshare --mount bash -euc '
    mount -o remount,bind,rw /proc/sys
    exec setpriv --reuid=tester --regid=tester --init-groups \
        unshare --user --map-current-user --keep-caps sh -euc "
            echo 0 >/proc/sys/user/max_user_namespaces
            exec setpriv --ambient-caps=-all --inh-caps=-all nix --version"'
"""


@pytest.mark.parametrize(
    ("start", "way_out"),
    [
        (_NO_NAMESPACES, "hint: sudo nix-aurora mount enable"),
        (
            "systemd-run --quiet --pipe --wait --uid=tester --property=RestrictNamespaces=yes"
            " nix --version",
            "hint: sudo nix-aurora mount enable",
        ),
        (
            "systemd-run --quiet --pipe --wait --property=RestrictNamespaces=yes"
            " --property=CapabilityBoundingSet=~CAP_SYS_ADMIN nix --version",
            "hint: start the container with the host's /var/lib/nix on /nix",
        ),
    ],
    ids=["switched off", "forbidden", "forbidden to root"],
)
def test_error_without_user_namespaces_names_the_alternative(
    host: Host, start: str, way_out: str
) -> None:
    result = host.run(start, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    host.run("systemctl reset-failed 'run-*'")  # this resets the unit that ran the script
    assert result.stderr.startswith("nix-aurora: ")
    assert way_out in result.stderr.splitlines()


def test_root_without_the_right_to_mount_uses_a_user_namespace(host: Host) -> None:
    limited = "setpriv --bounding-set=-sys_admin"
    assert host.run(f"{limited} nix --version").stdout == "nix (Nix) 2.34.8\n"


def test_failed_private_root_is_reported(host: Host) -> None:
    host.run("mv /run/nix-aurora /run/away")
    result = host.run_as("tester", f"{_INSIDE} true", check=False)
    host.run("mv /run/away /run/nix-aurora")
    assert result.returncode != 0
    assert result.stderr.startswith("nix-aurora: cannot make a root directory with /nix: mount: ")


def test_our_mounts_print_nothing_at_a_terminal(host: Host) -> None:
    """Let fstab be newer than systemd's state, about which mount(8) would print a warning."""
    host.run("touch --date=tomorrow /etc/fstab")
    shown = at_terminal(host, f"{_WITH_NIX} true")
    host.run("rm /etc/fstab")
    assert shown == " exit 0\n"


# --- later mounts of the host


def test_later_mounts_appear_and_disappear_in_a_running_shell_and_the_daemon(host: Host) -> None:
    host.run_as("tester", "nix store info")
    host.run("mkdir -p /mnt/later")
    for place in ("/data", "/var/mnt/later"):
        waits = (
            f"touch ~/started; until [ -e {place}/go ]; do sleep 0.1; done;"
            f" touch ~/came; while [ -e {place}/go ]; do sleep 0.1; done; touch ~/went"
        )
        job = shlex.join(["su", "--login", "tester", "--command", f"{_INSIDE} sh -c '{waits}'"])
        host.run(
            f"""
            {job} &
            cd /home/tester
            until [ -e started ]; do sleep 0.1; done
            mount -t tmpfs disk {place}
            touch {place}/go
            [ -e /proc/$(systemctl show --property=MainPID --value nix-daemon)/root{place}/go ]
            until [ -e came ]; do sleep 0.1; done
            umount {place}
            wait
            rm started came went"""
        )


# --- garbage


def test_rooted_paths_survive_every_collection(host: Host) -> None:
    """Links as roots are at home, by both names, and on disks mounted after the daemon started."""
    _build(host)
    host.run(
        """
        mkdir -p /mnt/disk /media/disk /var/home/tester/mounted
        for disk in /mnt/disk /media/disk /var/home/tester/mounted /data; do
            mount -t tmpfs disk $disk
            chown tester: $disk
        done
        """
    )
    host.run_as("tester", "nix profile add --file /srv/greet.nix --argstr name kept")
    links = [
        *("/home/tester/result", "/var/home/tester/another", "/var/tmp/result"),  # noqa: S108
        *("/mnt/disk/result", "/media/disk/result", "/var/home/tester/mounted/result"),
        "/data/result",
    ]
    paths = [_build(host, f"--out-link {link}") for link in links]
    for user, command in (
        ("tester", "nix-collect-garbage -d"),
        ("tester", "nix store gc"),
        ("root", "nix-collect-garbage -d"),
        ("root", "NIX_REMOTE=local nix-collect-garbage -d"),
        ("root", "systemctl restart nix-daemon.service; nix-collect-garbage -d"),
        ("root", "systemctl start nix-gc.service"),
    ):
        garbage = _build(host)
        host.run_as(user, command)
        assert host.run(f"test -e {garbage}", check=False).returncode == 1, command
        for path in paths:
            host.run(f"nix-store --check-validity {path.removeprefix('/var/lib')}; test -s {path}")
        assert host.run_as("tester", f"{_INSIDE} kept").stdout == "greeting from kept\n"
        assert host.run_as("tester", "nix --version").stdout == "nix (Nix) 2.34.8\n"
    # The timer's run also removes old generations of users.
    profile = "/var/home/tester/.local/state/nix/profiles/old"
    for path in paths[:3]:
        stored = path.removeprefix("/var/lib")
        host.run_as("tester", f"nix-env --profile {profile} --set {stored}")
    for number, days in ((1, 60), (2, 50)):
        date = f"--date='{days} days ago'"
        host.run(f"touch --no-dereference {date} {profile}-{number}-link")
    host.run("systemctl start nix-gc.service")
    assert host.run(f"ls {profile}-*").stdout == f"{profile}-2-link\n{profile}-3-link\n"
    host.run("umount /mnt/disk /media/disk /var/home/tester/mounted /data")


def test_running_programs_survive_without_a_root(host: Host) -> None:
    """The daemon sees the processes of other namespaces."""
    host.run_as("tester", f"{{ {ADD_BASH} }} >~/sleeper")
    path = host.read("/home/tester/sleeper").strip()
    job = f"{_INSIDE} {path}/bin/bash -c 'touch ~/runs; while [ -e ~/runs ]; do sleep 0.1; done'"
    host.run(f"su --login tester --command {shlex.quote(job)} & echo $! >/run/sleeper")
    host.run("until [ -e /home/tester/runs ]; do sleep 0.1; done")
    host.run_as("tester", "nix-collect-garbage")
    assert host.run(f"test -e /var/lib{path}", check=False).returncode == 0
    host.run("rm /home/tester/runs; tail --pid=$(cat /run/sleeper) -f /dev/null")
    host.run_as("tester", "nix-collect-garbage")
    assert host.run(f"test -e /var/lib{path}", check=False).returncode == 1


# --- the first import


def test_commands_wait_for_the_first_import(
    tree: Tree, make_host: HostMaker, tmp_path: Path
) -> None:
    slow = """
    mkdir -p /etc/systemd/system/nix-setup.service.d
    printf '[Service]\\nExecStartPre=/usr/bin/sleep 5\\n' \
        >/etc/systemd/system/nix-setup.service.d/slow.conf
    """
    host = make_host(tree.changed(tmp_path / "slow", slow))
    host.boot(wait=False)
    host.run(
        f"""
        until systemctl show --property=ActiveState nix-setup.service | grep -q =activating; do
            sleep 0.1
        done
        su --login tester --command '{_INSIDE} nix --version' >/run/shell 2>&1 &
        su --login tester --command 'nix --version' >/run/command 2>&1
        wait"""
    )
    for name in ("shell", "command"):
        waited, version = host.read(f"/run/{name}").splitlines()
        assert waited.startswith("nix: waiting for nix-setup.service")
        assert version == "nix (Nix) 2.34.8"
    assert host.wait_until_up() == "running"
