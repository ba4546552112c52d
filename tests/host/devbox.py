"""Run devbox's steps with Nix, in a guest for test_devbox.py, and print the results as JSON.

    devbox.py find                              look for Nix
    devbox.py use PROJECT PACKAGES CACHE PATH   what add, run, shell, rm and update do

PACKAGES is a directory with a flake, PATH a store path that the binary cache at the URL CACHE has.
PROJECT is created. A failed step ends the program, with Nix's message. The steps, their order,
options and variables are those of jetify-com/devbox at f26266e0eddacb6d955a027b68b0ebef9515f0f7 (16
August 2026); each function names the file that it follows.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

# internal/nix/command.go
_OPTIONS = [
    *("--extra-experimental-features", "ca-derivations"),
    *("--option", "experimental-features", "nix-command flakes fetch-closure"),
]
_UNFREE = {"NIXPKGS_ALLOW_UNFREE": "1"}
_DEFAULT = Path("/nix/var/nix/profiles/default")
# nix/nix.go
_VERSION = re.compile(r"^(.+) \(.+\) (\d+)\.(\d+)\.(\d+)(\S*)$")
_OLDEST = (2, 18, 0)
_READ = ("NIX_PROFILES", "NIX_SSL_CERT_FILE", "PATH", "XDG_DATA_DIRS", "__ETC_PROFILE_NIX_SOURCED")
# The file follows internal/shellgen/tmpl/flake.nix.tmpl, reduced to its effect: a shell with a
# cached and a built package.
_SHELL = """
{
  inputs = { nixpkgs.url = "path:PACKAGES"; own.url = "path:PACKAGES"; };
  outputs = { self, nixpkgs, own }: let pkgs = nixpkgs.legacyPackages.SYSTEM; in {
    devShells.SYSTEM.default = pkgs.mkShell {
      buildInputs = [
        (builtins.trace "downloading" (builtins.fetchClosure {
          fromStore = "CACHE"; fromPath = "CACHED"; inputAddressed = true;
        }))
        (builtins.trace "evaluating" own.packages.SYSTEM.greet)
      ];
    };
  };
}
"""


def _captured(
    command: list[str], program: str | None = None, **variables: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        executable=program,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


# --- nix/nix.go, internal/nix/install.go: where Nix is


def _profile_files() -> list[Path]:
    home = Path.home()
    state = Path(os.environ.get("XDG_STATE_HOME") or home / ".local/state")
    tops = [_DEFAULT, home / ".nix-profile", state / "nix/profile", state / "nix/profiles/profile"]
    if found := shutil.which("nix"):
        # The first directory is the parent of /usr/bin/nix; /usr/etc is ostree's own copy of /etc.
        tops.insert(0, Path(found).parents[1])
    names = ("nix-daemon.sh", "nix-daemon.fish", "nix.sh", "nix.fish")
    return [top / "etc/profile.d" / name for name in names for top in dict.fromkeys(tops)]


def _source_profile() -> str | None:
    """Apply the variables of the first readable profile, and return its name."""
    if "NIX_PROFILES" in os.environ:
        return None
    show = "\n".join(f'echo {name}="${name}"' for name in _READ)
    for path in _profile_files():
        script = f'. "{path}"\n{show}'
        done = _captured(["sh", "-e", "-c", script])
        if done.returncode == 0:
            pairs = (line.partition("=") for line in done.stdout.splitlines())
            os.environ.update({name: value for name, _, value in pairs if name in _READ})
            return str(path)
    return None


def _ensure_installed() -> str:
    """Return how devbox detects Nix, or its installation command if it does not."""
    if shutil.which("nix"):
        return "PATH"
    try:
        empty = not any(Path("/nix").iterdir())
    except OSError:
        empty = True
    if empty:
        return "installs another Nix"
    _source_profile()
    return "profile" if shutil.which("nix") else "gives up"


def find() -> dict[str, object]:
    """Return what devbox knows of Nix before its first command."""
    found: dict[str, object] = {"by": _ensure_installed()}
    found["sourced"] = _source_profile()
    found["nix"] = shutil.which("nix")
    first, *rest = _nix("--version", "--debug").splitlines()
    match = _VERSION.match(first)
    if not match:
        sys.exit(f"no version: {first}")
    if tuple(int(number) for number in match.groups()[1:4]) < _OLDEST:
        sys.exit(f"too old: {first}")
    facts = dict(line.split(": ", 1) for line in rest if ": " in line)
    return found | {
        "version": first.partition(") ")[2],
        "system": facts["System type"],
        "store": facts["Store directory"].strip('"'),
    }


# --- internal/nix, internal/devbox: its commands


def _run(command: list[str], env: dict[str, str] | None = None) -> str:
    program = shutil.which("nix") or str(_DEFAULT / "bin/nix")
    done = _captured(command, program, **(env or {}))
    if done.returncode:
        sys.exit(f"{command}: exit code {done.returncode}: {done.stderr}")
    return done.stdout


def _nix(*arguments: str, env: dict[str, str] | None = None) -> str:
    return _run(["nix", *_OPTIONS, *arguments], env)


def _json(*arguments: str, env: dict[str, str] | None = None) -> Any:  # noqa: ANN401 - Nix's
    return json.loads(_nix(*arguments, env=env))


def _in_profile(profile: Path) -> list[str]:
    elements = _json("profile", "list", "--profile", str(profile), "--json")["elements"]
    return sorted(path for element in elements.values() for path in element["storePaths"])


def _install(profile: Path, *paths: str) -> None:
    """Install packages, each with its own priority, since they may have equal files.

    internal/nix/profiles.go.
    """
    manifest = profile / "manifest.json"
    elements = json.loads(manifest.read_text())["elements"] if manifest.exists() else {}
    priority = max([5, *(element["priority"] for element in elements.values())]) + 1
    quick = ("--offline", "--impure", "--priority", str(priority))
    _nix("profile", "install", "--profile", str(profile), *quick, *paths, env=_UNFREE)


def _start(profile: Path, program: str) -> str:
    """Run a script with the project's profile first on PATH: internal/nix/run.go."""
    done = _captured(["sh", "-c", program], PATH=f"{profile}/bin:{os.environ['PATH']}")
    return done.stdout.strip() or f"exit code {done.returncode}"


def _wipe_history(profile: Path) -> None:
    """Remove the links of older generations directly: internal/devbox/nixprofile.go."""
    for link in profile.parent.iterdir():
        if link.name not in {profile.name, str(profile.readlink())}:
            link.unlink()


def _dev_env(project: Path, system: str, packages: str, cache: str, cached: str) -> list[str]:
    """Return the paths in the environment of the project.

    internal/shellgen, internal/nix/nix.go.
    """
    flake = project / ".devbox/gen/flake"
    flake.mkdir(parents=True)
    text = _SHELL.replace("SYSTEM", system).replace("PACKAGES", packages)
    (flake / "flake.nix").write_text(text.replace("CACHED", cached).replace("CACHE", cache))
    variables = _json("print-dev-env", "--json", f"path:{flake.resolve()}")["variables"]
    _nix("flake", "update", "--flake", str(flake))
    return sorted(variables["buildInputs"]["value"].split())


def _bash(packages: str) -> str:
    """Return the bash of nixpkgs, which devbox starts without SHELL, and starts with Nix otherwise.

    internal/devbox/shell.go.
    """
    path = _run(["nix", "eval", "--raw", f"path:{packages}#bashInteractive", *_OPTIONS])
    _run(["nix", "build", path, "--no-link", *_OPTIONS])
    return path


def use(project: Path, packages: str, cache: str, cached: str) -> dict[str, object]:
    """Return the result of each of devbox's steps in a new project."""
    found = find()
    installable = f"path:{packages}#greet"
    seen: dict[str, object] = {"name": _nix("eval", "--raw", f"{installable}.name")}
    # These are the steps to add a package: internal/nix/search.go, flake.go, store.go, build.go.
    results = _json("search", installable, "^", "--json")
    seen["search"] = [result["pname"] for result in results.values()]
    _nix("eval", "--raw", installable)
    seen["locked"] = _json("flake", "metadata", "--json", "--refresh", f"path:{packages}")[
        "locked"
    ]["type"]
    part = Path(cached).name.partition("-")[0]
    seen["by hash"] = _nix("store", "path-from-hash-part", "--store", cache, part).strip()
    paths = [*_json("path-info", installable, "--json", "--impure", env=_UNFREE), cached]
    check = ("path-info", "--offline", "--json", *paths)
    seen["before"] = [info is not None for info in _json(*check).values()]
    _nix("build", "--impure", "--no-link", installable, cached, env=_UNFREE)
    seen["after"] = [info is not None for info in _json(*check).values()]
    seen["environment"] = _dev_env(project, str(found["system"]), packages, cache, cached)
    profile = project / ".devbox/nix/profile/default"
    profile.parent.mkdir(parents=True)
    seen["empty"] = _in_profile(profile)
    for path in paths:
        _install(profile, path)
        _wipe_history(profile)
    seen["paths"] = sorted(paths)
    seen["installed"] = _in_profile(profile)
    seen["started"] = [_start(profile, program) for program in ("greet", "cached")]
    seen["bash"] = _start(profile, f"{_bash(packages)}/bin/bash -c 'echo $BASH_VERSION'")
    _nix("profile", "remove", "--profile", str(profile), "--impure", cached, env=_UNFREE)
    _wipe_history(profile)
    seen["left"] = _in_profile(profile)
    # That version of devbox contains this code, but none of its commands uses it.
    seen["daemon"] = _json("store", "info", "--store", "daemon", "--json")["version"]
    seen["substituters"] = _json("show-config", "--json")["substituters"]["value"]
    return seen


if __name__ == "__main__":
    verb, *given = sys.argv[1:]
    print(json.dumps(find() if verb == "find" else use(Path(given[0]), *given[1:])))
