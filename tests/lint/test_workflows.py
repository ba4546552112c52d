"""Test GitHub's workflows with actionlint, and the rules of this project for them."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from nix_aurora.run import run
from tests.lint.shell import TOP, tool
from tests.lint.workflows import WORKFLOWS, load, make_calls

_PINNED = re.compile(r"uses: (\./\.github/workflows/\S+|\S+@[0-9a-f]{40} # v[0-9]+(\.[0-9]+)*)")

# These programs replace gh and make: one records the calls, the other uses the pins of the
# directory.
_GH = """\
#!/bin/sh
echo "$*" >>"$HOME/gh"
[ "$1 $2" != "pr create" ] || cp "$RUNNER_TEMP/body" "$HOME/body"
[ "$1 $2" != "pr list" ] || cat "$HOME/pull-requests"
"""
_MAKE_THERE = f"""\
#!/bin/sh
exec {shutil.which("make")} --directory={TOP} "$@" \\
    FLAGS="--pins $PWD/pins.toml --advisories $PWD/advisories.toml"
"""

each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def _actionlint(*words: str | Path, text: str | None = None) -> subprocess.CompletedProcess[str]:
    command = [tool("actionlint"), "-no-color", "-shellcheck", tool("shellcheck"), *words]
    return subprocess.run(command, cwd=TOP, input=text, capture_output=True, text=True, check=False)


def test_actionlint_finds_nothing() -> None:
    done = _actionlint(*WORKFLOWS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("right", "wrong", "finding"),
    [
        ("cancel-in-progress", "cancel-in-progres", "[syntax-check]"),
        ("github.ref_name", "github.ref_nam", "[expression]"),
        ('TAG="$TAG"', "TAG=$TAG", "SC2086"),
        ("ubuntu-24.04", "ubuntu-24.40", "[runner-label]"),
    ],
)
def test_actionlint_finds_faults(right: str, wrong: str, finding: str) -> None:
    text = (TOP / ".github/workflows/check.yml").read_text()
    assert right in text
    done = _actionlint("-", text=text.replace(right, wrong))
    assert done.returncode == 1
    assert finding in done.stdout


@each_workflow
def test_targets_of_make_exist(path: Path) -> None:
    for words in make_calls(load(path)["jobs"]):
        run(["make", "--dry-run", *words], cwd=TOP)


@each_workflow
def test_actions_are_pinned(path: Path) -> None:
    """Pin actions by commit, since a tag can be moved."""
    uses = [line.strip(" -") for line in path.read_text().splitlines() if "uses:" in line]
    assert uses
    for line in uses:
        assert _PINNED.fullmatch(line), line


@each_workflow
def test_permissions_and_times_are_limited(path: Path) -> None:
    """Jobs may only read unless they declare more, have a time limit, and run one at a time."""
    workflow = load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    for name, job in workflow["jobs"].items():
        assert "uses" in job or 0 < job["timeout-minutes"] <= 90, name
        for step in job.get("steps", ()):
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


class Clone:
    """A clone with updated pins, and the last step of update.yml in it."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.path = home / "clone"
        programs = home / "bin"
        programs.mkdir()
        for name, text in (("gh", _GH), ("make", _MAKE_THERE)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self._environment = {
            "HOME": str(home),
            "RUNNER_TEMP": str(home),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_AUTHOR_DATE": "2026-12-01T00:00:00Z",
        }
        self.git("init", "--quiet", "--bare", "--initial-branch=main", "../origin")
        self.git("clone", "--quiet", "../origin", ".")
        for name in ("pins.toml", "advisories.toml"):
            shutil.copy(TOP / name, self.path)
        self.git("add", ".")
        user = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        self.git(*user, "commit", "--quiet", "--message=first")
        self.git("push", "--quiet", "origin", "HEAD:main")
        self.pull_requests("0")

    def git(self, *words: str) -> str:
        self.path.mkdir(exist_ok=True)
        return run(["git", *words], cwd=self.path, env=self._environment)

    def body(self) -> str:
        """Return the text of the last pull request."""
        return (self._home / "body").read_text()

    def pull_requests(self, number: str) -> None:
        (self._home / "pull-requests").write_text(f"{number}\n")

    def propose(self) -> list[str]:
        """Run the step; return the calls of gh."""
        (self._home / "gh").write_text("")
        steps = load(TOP / ".github/workflows/update.yml")["jobs"]["pins"]["steps"]
        script = self._home / "step"
        script.write_text(steps[-1]["run"])
        # https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax, "shell".
        command: list[str | Path] = ["bash", "--noprofile", "--norc", "-eo", "pipefail", script]
        run(command, cwd=self.path, env=self._environment)
        return (self._home / "gh").read_text().splitlines()


def test_update_proposes_each_release_once(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    assert clone.propose() == []
    pins = clone.path / "pins.toml"
    former = pins.read_text()
    text = re.sub(r'(?m)^version = "[^"]*"', 'version = "9.9.9"', former)
    assert text != former
    pins.write_text(text)
    clone.pull_requests("1")
    listing = "pr list --head pins/9.9.9 --state all --json number --jq length"
    assert clone.propose() == [listing]
    assert clone.git("ls-remote", "--heads", "origin", "pins/*") == ""

    clone.pull_requests("0")
    called = clone.propose()
    assert called[:2] == [listing, "auth setup-git"]
    assert called[2].startswith("pr create --head pins/9.9.9 --title pins: Determinate Nix 9.9.9")
    assert called[3:] == ["workflow run check.yml --ref pins/9.9.9"]
    assert clone.git("show", "origin/pins/9.9.9:pins.toml") == text
    changed = clone.git("log", "--format=%an: %s", "--name-only", "origin/main..origin/pins/9.9.9")
    assert changed.split("\n\n") == [
        "github-actions[bot]: pins: Determinate Nix 9.9.9",
        "pins.toml\n",
    ]
    body = clone.body()
    assert body.startswith("Measured by update.yml.")
    # The Nix version that this release is based on is unknown.
    assert "\n- GHSA-jm6c-h95p-6qhj may apply to Determinate Nix 9.9.9, " in body


def test_update_proposes_each_state_of_the_advisories_once(tmp_path: Path) -> None:
    clone = Clone(tmp_path)
    known = clone.path / "advisories.toml"
    known.write_text(known.read_text().replace("GHSA-jm6c-h95p-6qhj", "GHSA-cccc-ffff-gggg"))
    branch = "advisories/" + clone.git("hash-object", "advisories.toml").strip()
    clone.pull_requests("1")
    listing = f"pr list --head {branch} --state all --json number --jq length"
    assert clone.propose() == [listing]
    clone.pull_requests("0")
    called = clone.propose()
    assert called[2].startswith(
        f"pr create --head {branch} --title advisories: What GitHub has published --body-file "
    )
    assert called[3:] == [f"workflow run check.yml --ref {branch}"]
    assert "\n- GHSA-cccc-ffff-gggg may apply to Determinate Nix " in clone.body()
    changed = clone.git("log", "--format=%s", "--name-only", f"origin/main..origin/{branch}")
    assert changed == "advisories: What GitHub has published\n\nadvisories.toml\n"
