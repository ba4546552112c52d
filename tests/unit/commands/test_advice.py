"""Test what an advisory means for a build: a warning, a refusal, or a line in the package."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from nix_aurora import log
from nix_aurora.closure.stage import Staged, stage
from nix_aurora.commands.advice import accepted_advisories, refuse_pinned
from nix_aurora.commands.command import Options
from nix_aurora.errors import PinError, UsageError, VerificationError
from nix_aurora.release import pins
from tests.closures import make_tarball

TOP = Path(__file__).resolve().parents[3]
APPLIES = "GHSA-cccc-ffff-gggg"
TOO = "GHSA-hhhh-jjjj-mmmm"
MAY = "GHSA-pppp-qqqq-rrrr"
PAST = "GHSA-vvvv-wwww-xxxx"
_REVIEWED = """\
reviewed = true
[{id}.determinate]
affected = ["{affected}"]
fixed = ["{fixed}"]
source = "https://host.example/notes"
"""


def entry(name: str, upstream: str, rest: str = "reviewed = false\n") -> str:
    return f"""\
[{name}]
url = "https://github.com/NixOS/nix/security/advisories/{name}"
cve = []
title = "The fault of {name}"
affected = ["{upstream}"]
fixed = []
{rest}
"""


def determinate(name: str, affected: str, fixed: str) -> str:
    return _REVIEWED.format(id=name, affected=affected, fixed=fixed)


KNOWN = (
    entry(APPLIES, "< 2.26.0", determinate(APPLIES, "< 3.22.2", "3.22.2"))
    + entry(TOO, "< 2.26.0", determinate(TOO, ">= 3.20.0, < 3.23.0", "3.23.0"))
    + entry(MAY, "< 2.36.0")
    + entry(PAST, "< 2.34.0")
)
ONE = entry(APPLIES, "< 2.26.0", determinate(APPLIES, "< 3.22.2", "3.22.2"))

Advise = Callable[..., list[str]]


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Staged:
    """Return a closure of Determinate Nix 3.22.1."""
    work = tmp_path_factory.mktemp("advice")
    return stage(make_tarball(work / "nix.tar.xz"), work / "out", {})


@pytest.fixture
def advise(staged: Staged, tmp_path: Path) -> Advise:
    """Return a function that takes an advisories.toml's text and ``--accept`` options."""
    log.configure(log.Level.NORMAL)

    def ask(
        text: str, *accept: str, nix: str | None = None, version: str | None = None
    ) -> list[str]:
        path = tmp_path / "advisories.toml"
        path.write_text(text)
        options = Options((), (), (), TOP / "pins.toml", path, tmp_path, tmp_path, True, 1)
        closure = staged.closure
        if nix:
            name = closure.nix.replace("determinate-nix-3.22.1", nix)
            closure = replace(closure, nix=name, version=nix.rpartition("-")[2])
        pinned = replace(pins.load(TOP / "pins.toml"), version=version or "3.22.1", nix="2.35.2")
        built = replace(staged, closure=closure)
        return accepted_advisories(options, accept, [built, built], pinned)

    return ask


def warnings(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning: ")]


def test_advisory_that_may_apply_causes_one_warning(
    advise: Advise, capsys: pytest.CaptureFixture[str]
) -> None:
    """The number of architectures does not matter, and nothing is written into the package."""
    assert advise(entry(MAY, "< 2.36.0") + entry(PAST, "< 2.34.0")) == []
    (line,) = warnings(capsys)
    assert line == (
        "warning: these advisories may apply to Determinate Nix 3.22.1, based on Nix 2.35.2: "
        f"{MAY}; advisories.toml has their pages, and says how to review them; "
        "--accept ID takes one as it is"
    )


def test_release_known_only_by_name_is_warned_about(
    advise: Advise, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pins know only the pinned release's upstream version."""
    assert advise(entry(MAY, "< 2.36.0") + entry(PAST, "< 2.34.0"), version="3.30.0") == []
    (line,) = warnings(capsys)
    assert f"Determinate Nix 3.22.1, whose upstream version is not known: {MAY}, {PAST}; " in line


def test_advisories_that_apply_are_refused_with_the_fixed_release(
    advise: Advise, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(VerificationError) as caught:
        advise(KNOWN)
    assert caught.value.exit_code == 5
    assert caught.value.message == (
        "cannot build the packages: Determinate Nix 3.22.1, based on Nix 2.35.2: "
        "a security advisory applies"
    )
    page = "https://github.com/NixOS/nix/security/advisories"
    assert caught.value.details == (
        f"{APPLIES}: The fault of {APPLIES}; fixed in Determinate Nix 3.22.2: {page}/{APPLIES}",
        f"{TOO}: The fault of {TOO}; fixed in Determinate Nix 3.23.0: {page}/{TOO}",
    )
    assert caught.value.hint == (
        "build.py pins update --version 3.23.0; "
        f"to build it anyway: --accept {APPLIES} --accept {TOO}"
    )
    assert warnings(capsys) == []


def test_pinned_release_is_refused_before_its_download(tmp_path: Path) -> None:
    path = tmp_path / "advisories.toml"
    path.write_text(ONE)
    options = Options((), (), (), TOP / "pins.toml", path, tmp_path, tmp_path, True, 1)
    pinned = replace(pins.load(TOP / "pins.toml"), version="3.22.1", nix="2.35.2")
    with pytest.raises(VerificationError, match="a security advisory applies"):
        refuse_pinned(options, [], pinned)
    with pytest.raises(UsageError, match="GHSA-xxxx"):
        refuse_pinned(options, ["GHSA-xxxx-xxxx-xxxx"], pinned)
    refuse_pinned(options, [APPLIES], pinned)
    refuse_pinned(options, [], replace(pinned, version="3.22.2"))


def test_hint_is_accept_if_no_release_has_the_fix(advise: Advise) -> None:
    with pytest.raises(VerificationError) as caught:
        advise(ONE.replace('["3.22.2"]', "[]"))
    assert caught.value.hint == f"to build it anyway: --accept {APPLIES}"
    assert "fixed in no release that is known: https://" in caught.value.details[0]


def test_accepted_advisories_are_returned_without_a_warning(
    advise: Advise, capsys: pytest.CaptureFixture[str]
) -> None:
    assert advise(KNOWN, TOO, APPLIES, MAY, TOO) == [APPLIES, TOO, MAY]
    assert warnings(capsys) == []


def test_accepting_one_advisory_still_refuses_the_other(advise: Advise) -> None:
    with pytest.raises(VerificationError) as caught:
        advise(KNOWN, APPLIES)
    assert caught.value.hint is not None
    assert caught.value.hint.endswith(f"--accept {TOO}")


def test_advisory_that_does_not_apply_is_not_recorded(
    advise: Advise, capsys: pytest.CaptureFixture[str]
) -> None:
    assert advise(KNOWN, APPLIES, TOO, MAY, PAST) == [APPLIES, TOO, MAY]
    assert f"--accept {PAST}: it does not apply: nothing to accept\n" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["GHSA-2222-3333-4444", "CVE-2026-39860", "\x1b[31m"])
def test_unknown_advisory_id_is_refused(advise: Advise, name: str) -> None:
    with pytest.raises(UsageError) as caught:
        advise(ONE, APPLIES, name)
    assert "--accept: expected an advisory in advisories.toml, got '" in caught.value.message
    assert "\x1b" not in caught.value.message


def test_upstreams_nix_is_never_refused(advise: Advise, capsys: pytest.CaptureFixture[str]) -> None:
    """A review is about Determinate's releases; upstream's versions only cause warnings."""
    assert advise(KNOWN, nix="nix-2.25.3") == []
    (line,) = warnings(capsys)
    assert f"may apply to Nix 2.25.3: {APPLIES}, {TOO}, {MAY}, {PAST}; " in line
    assert advise(KNOWN, nix="nix-2.35.0") == []
    (line,) = warnings(capsys)
    assert f"may apply to Nix 2.35.0: {MAY}; " in line
    assert advise(KNOWN, nix="nix-2.36.0") == []
    assert warnings(capsys) == []


def test_unreadable_advisories_stop_a_build(advise: Advise) -> None:
    with pytest.raises(PinError):
        advise("]")
