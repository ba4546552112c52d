"""Show what a user sees of a package: ``python -m tests.demo DIR [SVG]``.

DIR contains the package, which is installed on a booted host. With SVG, the most important steps
are drawn into that file, as a terminal shows them.
"""

import io
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.text import Text

from nix_aurora import log
from nix_aurora.errors import AuroraError, UsageError
from tests.harness.commands import Result
from tests.harness.nspawn import Host
from tests.harness.tree import atomic_tree, layer_rpms

_SAMPLE_SETTINGS = """
. /usr/lib/nix-aurora/closure.env
printf '%s\\n' "!include $CLOSURE_NIX/etc/nix/sandbox.conf" 'substituters =' \
    >>/etc/nix/nix.custom.conf
"""
_HELLO = """
derivation {
  name = "hello";
  system = builtins.currentSystem;
  PATH = "${builtins.storePath @busybox@}/bin";
  builder = "/bin/sh";
  args = [ "-c" ''
    mkdir -p $out/bin
    printf '%s\\n' '#!/bin/sh' 'echo Hello from my profile' > $out/bin/hello
    chmod +x $out/bin/hello
    echo "built as $(id -un), where / has:" $(ls /)
  '' ];
}
"""

_console = Console(highlight=False, soft_wrap=True)
_picture = Console(record=True, file=io.StringIO(), force_terminal=True, highlight=False, width=96)


def _print(*lines: Text, pictured: bool) -> None:
    for line in lines:
        _console.print(line)
        if pictured:
            _picture.print(line)


def _show(prompt: str, command: str, action: Callable[[], Result], *, pictured: bool) -> None:
    """Print the command as it is typed, run it, and print its output and its duration."""
    _print(Text.assemble((prompt, "bold green"), " ", (command, "bold")), pictured=pictured)
    start = time.monotonic()
    result = action()
    took = time.monotonic() - start
    said = [Text(f"  {line}") for line in result.output.strip().splitlines()]
    _print(*said, Text(f"  ({took:.1f} s)\n", style="dim"), pictured=pictured)


def _title(text: str, *, pictured: bool = True) -> None:
    _print(Text(f"── {text}", style="bold cyan"), pictured=pictured)


def demo(package: Path) -> None:
    """Boot a host with ``package`` and walk through a user's first steps there."""
    with tempfile.TemporaryDirectory(prefix="nix-aurora-demo-") as place:
        tree = layer_rpms(atomic_tree(), [package], Path(place, "layer"))
        # The sample's Nix has its sandbox's shell in the closure, and the host has no network.
        tree = tree.changed(Path(place, "settings"), _SAMPLE_SETTINGS)
        host = Host(tree, Path(place, "state"))

        def as_user(command: str, *, pictured: bool = True) -> None:
            _show("tester$", command, lambda: host.run_as("tester", command), pictured=pictured)

        def as_root(command: str, *, pictured: bool = False) -> None:
            _show("root#", command, lambda: host.run(command), pictured=pictured)

        start = time.monotonic()
        with host:
            _title(f"A host with a read-only root and {package.name}, booted from nothing")
            _print(Text(f"  ({time.monotonic() - start:.1f} s)\n", style="dim"), pictured=True)
            as_root("touch /x 2>&1 || :; systemctl is-system-running", pictured=True)
            as_root("systemctl --failed")
            as_root("journalctl --boot --output=cat --unit=nix-layout --unit=nix-setup")
            if host.run("command -v nix-aurora", check=False).returncode == 0:
                as_root("nix-aurora status", pictured=True)
            _title("An ordinary user builds through the daemon, in a sandbox, and installs it")
            host.run("cat >/var/home/tester/hello.nix <<'E'\n" + _hello(host) + "E")
            as_user("nix --version")
            as_user("nix build --impure --print-build-logs --file hello.nix")
            as_user("nix profile add ./result")
            as_user("hello")
            _title("Garbage collection spares what is in use", pictured=False)
            as_root("nix-collect-garbage --delete-old 2>&1 | tail -n 2")
            as_user("nix --version && hello", pictured=False)
            _title("A reboot: nothing is imported again")
            _show("root#", "systemctl reboot", lambda: _reboot(host), pictured=True)
            as_root("journalctl --boot --output=cat --unit=nix-setup")
            as_user("hello")


def _hello(host: Host) -> str:
    busybox = host.run("ls -d /nix/store/*-busybox-*").stdout.split()[0]
    return _HELLO.replace("@busybox@", busybox).lstrip()


def _reboot(host: Host) -> Result:
    host.reboot()
    return host.run("systemctl is-system-running")


def main(place: str, svg: str | None = None) -> int:
    """Run the demo with the package in ``place``; return the exit code."""
    try:
        if os.geteuid() != 0:
            raise UsageError("make demo: booting a host: expected root", hint="sudo make demo")
        packages = sorted(Path(place).glob(f"*.{platform.machine()}.rpm"))
        if len(packages) != 1:
            raise UsageError(f"make demo: {place}: expected one RPM, got {len(packages)}")
        demo(packages[0])
        if svg is not None:
            _picture.save_svg(svg, title="make demo", unique_id="demo")
    except AuroraError as error:
        log.error(error.message, error.hint)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
