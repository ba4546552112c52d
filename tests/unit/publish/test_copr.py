"""Test build.py publish, with COPR's own client, against a server that answers as COPR does."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nix_aurora import log
from nix_aurora.cli import main
from nix_aurora.publish import copr as module
from nix_aurora.publish import srpm as source
from nix_aurora.publish.project import CHROOTS
from tests.closures import for_aarch64, make_tarball
from tests.copr_server import (
    BAD_LOGIN,
    BUILD,
    LOGIN,
    NO_PROJECT,
    RESULTS,
    TOKEN,
    TWO,
    Copr,
    build,
    build_chroots,
    fault,
    mock_chroots,
    project,
)
from tests.unit.httpserver import Handler, reset, running

TOP = Path(__file__).resolve().parents[3]
# COPR's client does not close the file after the upload: python/copr/v3/proxies/build.py,
# create_from_file.
pytestmark = pytest.mark.filterwarnings(
    r"ignore:Exception ignored in. <_io.FileIO name=.*src\.rpm"
    ":pytest.PytestUnraisableExceptionWarning"
)


@pytest.fixture
def copr() -> Iterator[Copr]:
    with running() as server:
        yield Copr(server)


@pytest.fixture(scope="module")
def srpm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a source package for both architectures."""
    top = tmp_path_factory.mktemp("srpm")
    words = ["srpm", "-q", "--out", str(top / "out"), "--level", "1"]
    for arch in ("x86_64", "aarch64"):
        mutate = for_aarch64 if arch == "aarch64" else None
        tarball = make_tarball(top / f"nix-3.22.1-{arch}-linux.tar.xz", mutate=mutate)
        words += ["--source", str(tarball)]
    before = signal.getsignal(signal.SIGTERM)
    assert main(words) == 0
    signal.signal(signal.SIGTERM, before)
    return next((top / "out").glob("*.src.rpm"))


@pytest.fixture
def config(copr: Copr, tmp_path: Path) -> Path:
    path = tmp_path / "copr.conf"
    path.write_text(copr.configuration)
    return path


@pytest.fixture
def run(
    srpm: Path,
    config: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Callable[..., tuple[int, str, str]]]:
    """Return a function that runs build.py publish: exit code, stdout, stderr; never the token."""

    def publish_(*words: str | Path) -> tuple[int, str, str]:
        given = [str(word) for word in words]
        own = [] if "--srpm" in given else ["--srpm", str(srpm)]
        own += [] if "--config" in given else ["--config", str(config)]
        own += [] if "--project" in given else ["--project", "me/nix-aurora"]
        code = main(["publish", *own, *given])
        output = capsys.readouterr()
        for text in (output.out, output.err):
            for secret in (TOKEN, TOKEN.replace("%", "%%"), TOKEN.partition("%")[2]):
                assert secret not in text
        return code, output.out, output.err

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(module, "INTERVAL", 0.01)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    yield publish_
    signal.signal(signal.SIGTERM, before)
    log.configure(log.Level.NORMAL)


def chroots(*names: str) -> list[str]:
    return [word for name in names for word in ("--chroot", name)]


Run = Callable[..., tuple[int, str, str]]


# --- successful runs


def test_existing_project_gets_a_build(run: Run, copr: Copr, srpm: Path) -> None:
    code, out, err = run(*chroots(*TWO))
    assert (code, out) == (0, f"{copr.page}\n"), err
    looks = ["build", "states"] * 2
    assert copr.asked() == ["chroots", "project", "check", "upload", *looks]
    assert copr.sent("check")["chroots"] == list(TWO)
    upload = copr.bodies["upload"][0]
    assert srpm.read_bytes() in upload
    form = re.search(rb'name="json".*?\r\n\r\n(.*?)\r\n', upload, re.DOTALL)
    assert form
    assert json.loads(form[1]) == {
        "ownername": "me",
        "projectname": "nix-aurora",
        "project_dirname": None,
        "chroots": list(TWO),
    }
    credentials = base64.b64encode(f"{LOGIN}:{TOKEN}".encode()).decode()
    assert copr.server.headers[3]["Authorization"] == f"Basic {credentials}"
    lines = [line for line in err.splitlines() if line.startswith(f"build {BUILD}: fedora")]
    assert lines == [
        f"build {BUILD}: fedora-44-aarch64: pending",
        f"build {BUILD}: fedora-44-x86_64: running",
        f"build {BUILD}: fedora-44-aarch64: succeeded",
        f"build {BUILD}: fedora-44-x86_64: succeeded",
    ]


def test_new_project_gets_every_chroot(run: Run, copr: Copr) -> None:
    copr.serve("project", NO_PROJECT)
    code, _, err = run()
    assert code == 0, err
    assert copr.asked()[:5] == ["chroots", "project", "add", "check", "upload"]
    sent = copr.sent("add")
    assert (sent["name"], sent["enable_net"]) == ("nix-aurora", False)
    assert "https://github.com/DeterminateSystems/nix-src " in str(sent["description"])
    assert sent["chroots"] == [
        f"fedora-{release}-{arch}"
        for release in ("43", "44", "45", "rawhide")
        for arch in ("x86_64", "aarch64")
    ]
    assert "made the project me/nix-aurora with 8 chroots\n" in err


def test_project_keeps_its_chroots(run: Run, copr: Copr) -> None:
    copr.serve("project", project(["epel-9-x86_64", TWO[0]]))
    code, _, err = run(*chroots(*TWO))
    assert code == 0, err
    assert copr.sent("edit")["chroots"] == ["epel-9-x86_64", *TWO]
    assert f"added to me/nix-aurora: {TWO[1]}\n" in err


def test_default_chroot_that_copr_dropped_is_left_out(run: Run, copr: Copr) -> None:
    copr.serve("chroots", mock_chroots([name for name in CHROOTS if "-43-" not in name]))
    code, _, err = run()
    assert code == 0, err
    assert "warning: fedora-43-x86_64: left out, for COPR does not have it\n" in err
    assert len(copr.sent("check")["chroots"]) == 6  # type: ignore[arg-type]


def test_running_build_is_followed(run: Run, copr: Copr) -> None:
    code, out, _ = run("--follow", str(BUILD))
    assert (code, out) == (0, f"{copr.page}\n")
    assert set(copr.asked()) == {"build", "states"}


# --- exit codes 2 and 5: before anything is sent


@pytest.mark.parametrize("name", ["nix-aurora", "me/", "/x", "me/a b", "me/x/y", "@/x", "../x/"])
def test_project_with_an_invalid_name_is_refused(name: str, run: Run, copr: Copr) -> None:
    code, out, err = run("--project", name)
    assert (code, out) == (2, "")
    assert err == (
        f"error: --project: expected OWNER/NAME or @GROUP/NAME, got '{name}'\n"
        "hint: build.py publish --help\n"
    )
    assert copr.asked() == []


def test_unknown_chroot_is_refused(run: Run, copr: Copr) -> None:
    code, out, err = run(*chroots("fedora-99-x86_64", "fedora-44-x86_64"))
    assert (code, out) == (2, "")
    assert "error: --chroot: expected one of fedora-42-x86_64, fedora-43-aarch64, " in err
    assert ", which COPR has, got fedora-99-x86_64\n" in err
    assert copr.asked() == ["chroots"]


def test_chroot_that_disappears_meanwhile_is_reported(run: Run, copr: Copr) -> None:
    """views/apiv3_ns/apiv3_projects.py, validate_chroots."""
    copr.serve("project", NO_PROJECT)
    copr.serve("add", fault(400, "Unexpected chroot: fedora-44-aarch64"))
    code, out, err = run(*chroots(*TWO))
    assert (code, out) == (7, "")
    assert "COPR answers 400: Unexpected chroot: fedora-44-aarch64\n" in err
    assert "upload" not in copr.asked()


def test_chroot_without_a_closure_is_refused(run: Run, copr: Copr, tmp_path: Path) -> None:
    tarball = make_tarball(tmp_path / "nix-3.22.1-x86_64-linux.tar.xz")
    out = str(tmp_path / "out")
    assert main(["srpm", "-q", "--source", str(tarball), "--out", out, "--level", "1"]) == 0
    only = next(Path(out).glob("*.src.rpm"))
    code, _, err = run("--srpm", only)
    assert code == 2
    assert "expected closures for aarch64 as well, got those for x86_64\nhint: build.py srpm" in err
    assert copr.asked() == ["chroots"]


def test_nixd_is_refused_for_copr(
    run: Run, copr: Copr, monkeypatch: pytest.MonkeyPatch, srpm: Path
) -> None:
    """verify() also refuses unknown files; this refusal holds whatever it accepts."""
    names = source._names(srpm)
    listed = [*names, "payload-x86_64.tar", "./usr/libexec/nix-aurora/determinate-nixd"]
    monkeypatch.setattr(source, "_names", lambda _path: listed)
    code, out, err = run()
    assert (code, out) == (5, "")
    assert "determinate-nixd: expected free software alone, got what looks like" in err
    assert copr.asked() == []


def test_payloads_are_searched_for_nixd(srpm: Path) -> None:
    names = list(source._names(srpm))
    assert {"nix-aurora.spec", "payload-aarch64.tar", "payload-x86_64.tar"} <= set(names)
    assert names.count("usr/bin/nix") == 2


def test_missing_source_package_is_refused(
    run: Run, copr: Copr, config: Path, tmp_path: Path
) -> None:
    words = ["publish", "--project", "me/x", "--config", str(config), "--out", str(tmp_path)]
    assert main([*words, "-q"]) == 2
    (tmp_path / "a.src.rpm").write_text("no RPM")
    assert main([*words, "-q"]) == 5
    (tmp_path / "b.src.rpm").touch()
    assert main([*words, "-q"]) == 2
    assert run("--srpm", tmp_path / "nowhere.src.rpm")[0] == 5
    assert copr.asked() == []


# --- exit code 7: the token


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        f"token = {TOKEN}\n",
        # % is special for configparser
        f"[copr-cli]\nlogin = me\ntoken = {TOKEN}\ncopr_url = https://x\n",
        f"[copr-cli]\n{TOKEN}\n",
        "[copr-cli]\nlogin = me\ncopr_url = https://x\n",
        "[copr-cli]\nlogin = me\ntoken = x\n",
        "[copr-cli]\nlogin = me\ntoken = x\ncopr_url = http://x\n",
        f"[copr-cli]\nlogin = me\ntoken = {TOKEN}\n\xff".encode("latin-1").decode("latin-1"),
    ],
)
def test_unusable_configuration_is_refused(
    text: str | None, run: Run, copr: Copr, tmp_path: Path
) -> None:
    """Its lines are not shown with -v either, whose traceback has configparser's quotation."""
    path = tmp_path / "other.conf"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    code, out, err = run("-v", "--config", path)
    assert (code, out) == (7, "")
    problem = "expected the file that COPR's API page gives, got"
    assert f"error: cannot publish the packages: {path}: {problem}" in err
    assert "hint: save the text that https://copr.fedorainfracloud.org/api/" in err
    assert copr.asked() == []


def test_invalid_token_is_reported(run: Run, copr: Copr) -> None:
    copr.serve("check", BAD_LOGIN)
    code, out, err = run("-v", *chroots(*TWO))
    assert (code, out) == (7, "")
    answer = "COPR answers 401: Login invalid/expired."
    assert f"cannot ask for a build in me/nix-aurora: {answer}" in err
    assert f"hint: save the text that {copr.server.url('/api/')} shows" in err
    assert "upload" not in copr.asked()


def test_project_of_another_user_is_refused(run: Run, copr: Copr) -> None:
    """views/apiv3_ns/apiv3_builds.py, CheckBeforeBuild.post."""
    copr.serve("check", fault(403, "User 'me' is not allowed to build in 'you/nix-aurora'"))
    code, _, err = run(*chroots(*TWO))
    assert code == 7
    assert "COPR answers 403: User 'me' is not allowed to build" in err
    assert "hint: ask the project's owner" in err


# --- exit code 7: connections


@pytest.mark.parametrize("name", ["chroots", "project", "check", "upload"])
def test_dropped_connection_is_reported(name: str, run: Run, copr: Copr) -> None:
    copr.serve(name, reset())
    code, out, err = run(*chroots(*TWO))
    assert (code, out) == (7, "")
    assert "expected an answer from COPR, got none: Unable to connect to " in err
    assert err.endswith("hint: try again later\n")
    assert copr.asked()[-1] == name


def test_answer_of_another_server_is_reported(run: Run, copr: Copr) -> None:
    """This is a proxy's own page: python/copr/v3/requests.py, handle_errors."""

    def page(handler: Handler) -> None:
        handler.send_response(502)
        handler.end_headers()
        handler.wfile.write(b"<html>Bad Gateway</html>")

    copr.serve("chroots", page)
    code, _, err = run()
    assert code == 7
    assert "cannot ask COPR for its chroots: COPR answers 502: " in err
    assert "Response is not in JSON format" in err


def test_dropped_connection_is_retried_while_builds_are_followed(run: Run, copr: Copr) -> None:
    """The builds continue without us."""
    # coprs/error_handlers.py, BaseErrorHandler.message.
    database = fault(500, "Database error, contact admin")
    copr.serve("build", build("running"), reset(), database, build("succeeded"))
    code, _, err = run(*chroots(*TWO))
    assert code == 0, err
    assert err.count("; trying again in 0.01 s\n") == 2


def test_connection_that_stays_down_is_reported(run: Run, copr: Copr) -> None:
    copr.serve("build", build("running"), reset())
    code, out, err = run(*chroots(*TWO))
    assert (code, out) == (7, "")
    assert f"error: cannot follow build {BUILD}: expected an answer from COPR" in err
    assert "build.py publish --project me/nix-aurora --config" in err
    assert f"--follow {BUILD}\n" in err
    assert copr.asked().count("build") == 6


def test_unknown_build_is_not_retried(run: Run, copr: Copr) -> None:
    """logic/complex_logic.py, get_build."""
    copr.serve("build", fault(404, f"Build {BUILD} does not exist."))
    code, _, err = run("--follow", str(BUILD))
    assert code == 7
    assert f"COPR answers 404: Build {BUILD} does not exist.\n" in err
    assert copr.asked() == ["build"]


# --- exit code 8: builds


def test_failed_chroot_is_reported_with_its_log(run: Run, copr: Copr) -> None:
    copr.serve("build", build("running"), build("failed"))
    states = {"fedora-44-x86_64": "succeeded", "fedora-44-aarch64": "failed"}
    copr.serve("states", build_chroots(dict.fromkeys(states, "running")), build_chroots(states))
    code, out, err = run("-q", *chroots(*TWO))
    assert (code, out) == (8, "")
    url = f"{RESULTS}/fedora-44-aarch64/0{BUILD}-nix-aurora/builder-live.log.gz"
    assert err == (
        f"error: cannot build at COPR: build {BUILD}: expected 2 builds, got 1 failed\n"
        f"fedora-44-aarch64: failed: {url}\nhint: {copr.page}\n"
    )


def test_failed_import_of_the_source_package_is_reported(run: Run, copr: Copr) -> None:
    copr.serve("build", build("importing"), build("failed"))
    copr.serve("states", build_chroots(dict.fromkeys(TWO, "waiting")))
    code, _, err = run(*chroots(*TWO))
    assert code == 8
    assert f"cannot build at COPR: build {BUILD}: expected it to succeed, got: failed\n" in err


def test_canceled_build_is_reported(run: Run, copr: Copr) -> None:
    copr.serve("build", build("canceled"))
    copr.serve("states", build_chroots(dict.fromkeys(TWO, "canceled")))
    code, _, err = run(*chroots(*TWO))
    assert code == 8
    assert "expected 2 builds, got 2 failed\n" in err


# --- 130


def test_interrupt_while_builds_are_followed_names_the_way_back(copr: Copr, config: Path) -> None:
    """The builds are left alone."""
    copr.serve("build", build("running"))
    copr.serve("states", build_chroots(dict.fromkeys(TWO, "running")))
    words = ("publish", "--project", "me/nix-aurora", "--config", config, "--follow", str(BUILD))
    process = subprocess.Popen(
        [sys.executable, TOP / "build.py", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    assert process.stderr
    for line in process.stderr:
        if line.startswith(f"build {BUILD}: {TWO[1]}: running"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert f"the build is no longer followed; it continues at {copr.page}\n" in err
    assert f"build.py publish --project me/nix-aurora --config {config} --follow {BUILD}\n" in err
    assert set(copr.asked()) == {"build", "states"}
