"""Test build.py pins update and pins advisories: GitHub's advisories are copied and reported.

The answers have the keys of the schema "repository-advisory" in
https://github.com/github/rest-api-description, descriptions/api.github.com. One of them has the
text that NixOS/nix published there in April 2026, with its ranges as typed.
"""

import os
import signal
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from nix_aurora.cli import main
from nix_aurora.errors import FetchError
from nix_aurora.release import advisories
from nix_aurora.release.advisories import DETERMINATE, UPSTREAM, Advisory
from nix_aurora.release.bulletin import collect
from nix_aurora.release.published_advisories import find_advisories
from tests.unit.httpserver import Server, answer, running, status

TOP = Path(__file__).resolve().parents[3]
LISTED = "/repos/{}/security-advisories"
QUERY = "?state=published&sort=published&direction=asc&per_page=100"
G3G9 = "GHSA-g3g9-5vj6-r3gj"
NEW = "GHSA-cccc-ffff-gggg"
NEWER = "GHSA-hhhh-jjjj-mmmm"
TOKEN = "ghp_0123456789abcdefSECRET"  # noqa: S105 - not a real token


def published(ghsa: str, *ranges: tuple[str | None, str | None], **changes: object) -> object:
    """Return the API's answer about an advisory; ``ranges`` are affected and fixed versions."""
    return {
        "ghsa_id": ghsa,
        "cve_id": None,
        "url": f"https://api.github.com/repos/NixOS/nix/security-advisories/{ghsa}",
        "html_url": f"https://github.com/NixOS/nix/security/advisories/{ghsa}",
        "summary": "A summary",
        "description": "What has happened",
        "severity": "critical",
        "author": None,
        "publisher": {"login": "somebody", "id": 1, "type": "User"},
        "identifiers": [{"value": ghsa, "type": "GHSA"}],
        "state": "published",
        "created_at": None,
        "updated_at": "2026-04-08T20:58:22Z",
        "published_at": "2026-04-07T18:00:00Z",
        "closed_at": None,
        "withdrawn_at": None,
        "submission": None,
        "vulnerabilities": [
            {
                "package": {"ecosystem": "", "name": "nix"},
                "vulnerable_version_range": affected,
                "patched_versions": fixed,
                "vulnerable_functions": [],
            }
            for affected, fixed in ranges
        ],
        "cvss": {"vector_string": None, "score": None},
        "cwes": [],
        "credits": [],
        **changes,
    }


RECORDED = published(
    G3G9,
    (
        ">=2.18.2,>=2.19.4,>=2.20.5,>=2.21",
        "2.34.5, 2.33.4, 2.32.7, 2.31.4, 2.30.4, 2.29.3, 2.28.6",
    ),
    cve_id="CVE-2026-39860",
    summary="Sandbox escape",
)


def listed(repository: str) -> str:
    return LISTED.format(repository) + QUERY


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def hub(authority: trustme.CA) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with running(context) as server:
        server.serve(listed(UPSTREAM), answer(200, []))
        server.serve(listed(DETERMINATE), answer(200, []))
        release = {"tag_name": "v3.22.1", "assets": []}
        server.serve(
            "/repos/DeterminateSystems/nix-installer/releases/latest", answer(200, release)
        )
        yield server


@pytest.fixture(autouse=True)
def _environment(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[None]:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(bundle))
    monkeypatch.delenv("CURL_CA_BUNDLE", raising=False)
    monkeypatch.delenv("GITHUB_TOKEN", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / "advisories.toml"
    path.write_text("# What is known.\n")
    return path


@pytest.fixture
def pinned(tmp_path: Path) -> Path:
    path = tmp_path / "pins.toml"
    text = (TOP / "pins.toml").read_text()
    version = text.partition('[release]\nversion = "')[2].partition('"')[0]
    path.write_text(text.replace(version, "3.22.1"))
    return path


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(hub: Server, known: Path, pinned: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs ``build.py pins``, and returns exit code, stdout, stderr."""

    def pins(*words: str) -> tuple[int, str, str]:
        places = ("--pins", str(pinned), "--advisories", str(known), "--github", hub.url(""))
        code = main(["pins", *words, *places])
        output = capsys.readouterr()
        return code, output.out, output.err

    return pins


# --- additions


def test_new_advisories_are_added_unreviewed(run: Run, hub: Server, known: Path) -> None:
    """This also happens if the newest release is already pinned."""
    hub.serve(listed(UPSTREAM), answer(200, [RECORDED, published(NEW, ("< 2.36.0", None))]))
    hub.serve(listed(DETERMINATE), answer(200, [published(NEWER, ("<= 3.22.1", "3.22.2"))]))
    code, out, err = run("update")
    assert (code, out) == (0, f"{known}\n")
    assert f"advisories.toml: new: {G3G9}, {NEW}, {NEWER}; " in err
    found = advisories.load(known)
    assert list(found) == [G3G9, NEW, NEWER]
    assert found[G3G9] == Advisory(
        G3G9,
        ("CVE-2026-39860",),
        "Sandbox escape",
        UPSTREAM,
        (">=2.18.2,>=2.19.4,>=2.20.5,>=2.21",),
        ("2.34.5", "2.33.4", "2.32.7", "2.31.4", "2.30.4", "2.29.3", "2.28.6"),
    )
    assert found[NEWER].repository == DETERMINATE
    assert known.read_text().startswith("# What is known.\n")


def test_advisories_that_may_apply_are_named_once(run: Run, hub: Server) -> None:
    """The pinned Nix, 2.35.2, has the fix of the first; the second has no range."""
    new = published(NEW, (None, None))
    hub.serve(listed(UPSTREAM), answer(200, [RECORDED, new, published(NEWER, ("< 2.0.0", ""))]))
    err = run("update")[2]
    warnings = [line for line in err.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert f"may apply to Determinate Nix 3.22.1, based on Nix 2.35.2: {NEW}; " in warnings[0]
    code, out, err = run("advisories")
    assert (code, err) == (0, "")
    assert out == (
        f"{NEW} may apply to Determinate Nix 3.22.1, based on Nix 2.35.2, and is not reviewed: "
        f"https://github.com/NixOS/nix/security/advisories/{NEW}\n"
    )


def test_advisory_that_applies_is_reported(run: Run, known: Path) -> None:
    known.write_text(
        f"""\
[{NEW}]
url = "https://github.com/NixOS/nix/security/advisories/{NEW}"
cve = []
title = "A fault"
affected = []
fixed = []
reviewed = true
determinate = {{ affected = ["< 3.22.2"], fixed = ["3.22.2"], source = "https://host.example" }}
"""
    )
    code, out, _ = run("advisories")
    assert code == 0
    assert out.startswith(f"{NEW} applies to Determinate Nix 3.22.1, based on Nix 2.35.2: https:")


def test_second_update_changes_nothing(run: Run, hub: Server, known: Path) -> None:
    hub.serve(listed(UPSTREAM), answer(200, [RECORDED]))
    assert run("update")[1] == f"{known}\n"
    written = known.stat()
    assert run("update")[:2] == (0, "")
    assert known.stat() == written


def test_dry_run_shows_the_additions(run: Run, hub: Server, known: Path) -> None:
    hub.serve(listed(UPSTREAM), answer(200, [RECORDED]))
    code, out, _ = run("update", "--dry-run")
    assert code == 0
    assert f"+[{G3G9}]\n" in out
    assert "+reviewed = false\n" in out
    assert known.read_text() == "# What is known.\n"


def test_withdrawn_advisories_are_left_out(hub: Server) -> None:
    withdrawn = published(NEW, withdrawn_at="2026-05-01T00:00:00Z")
    hub.serve(listed(UPSTREAM), answer(200, [withdrawn, RECORDED]))
    assert [each.id for each in collect(hub.url(""))] == [G3G9]


def test_unknown_product_and_range_may_mean_any_version(hub: Server) -> None:
    """GitHub requires neither a product nor its range."""
    bare = published(NEW, vulnerabilities=None)
    ranges = published(NEWER, (None, None), ("", "2.0"), ("< 2.36.0", "2.36.0"), ("< 2.36.0", "x"))
    hub.serve(listed(UPSTREAM), answer(200, [bare, ranges]))
    first, second = find_advisories(UPSTREAM, hub.url(""))
    assert (first.affected, first.fixed) == ((), ())
    assert (second.affected, second.fixed) == (("unknown", "< 2.36.0"), ("2.0", "2.36.0", "x"))


def test_text_from_outside_cannot_break_a_line_or_the_file(
    run: Run, hub: Server, known: Path
) -> None:
    odd = published(NEW, ('< 1"\n[x]', "\u202e2\x1b"), summary='a "b"\n[c]\\' + "x" * 500)
    hub.serve(listed(UPSTREAM), answer(200, [odd]))
    code, _, err = run("update")
    assert code == 0
    found = advisories.load(known)[NEW]
    assert found.affected == ('< 1"\\n[x]',)
    assert found.fixed == ("\\u202e2\\x1b",)
    assert found.title.startswith('a "b"\\n[c]')
    assert found.title.endswith("x…")
    assert "\x1b" not in err


# --- pages


def test_all_pages_are_read(hub: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """See https://docs.github.com/rest/using-the-rest-api/using-pagination-in-the-rest-api."""
    monkeypatch.setenv("GITHUB_TOKEN", TOKEN)
    cursor = "&after=Y3Vyc29yOnYyOpK5"
    following = f'<{hub.url(listed(UPSTREAM))}{cursor}>; rel="next"'
    hub.serve(listed(UPSTREAM), answer(200, [RECORDED], Link=following))
    previous = f'<{hub.url(listed(UPSTREAM))}&before=x>; rel="prev"'
    hub.serve(listed(UPSTREAM) + cursor, answer(200, [published(NEW)], Link=previous))
    assert [each.id for each in find_advisories(UPSTREAM, hub.url(""))] == [G3G9, NEW]
    assert hub.requests == [listed(UPSTREAM), listed(UPSTREAM) + cursor]
    assert {headers["Authorization"] for headers in hub.headers} == {f"Bearer {TOKEN}"}


@pytest.mark.parametrize("other", ["https://elsewhere.example/x?", "/repos/me/nix/x?", ""])
def test_no_page_leads_to_another_host(hub: Server, other: str) -> None:
    """The other host would receive the token."""
    place = other if other.startswith("https:") else hub.url(other or "/")
    hub.serve(listed(UPSTREAM), answer(200, [RECORDED], Link=f'<{place}>; rel="next"'))
    with pytest.raises(FetchError, match="expected a next page of the same list, got 'https://"):
        find_advisories(UPSTREAM, hub.url(""))
    assert hub.requests == [listed(UPSTREAM)]


def test_number_of_pages_is_limited(hub: Server) -> None:
    following = f'<{hub.url(listed(UPSTREAM))}>; rel="next"'
    hub.serve(listed(UPSTREAM), answer(200, [], Link=following))
    with pytest.raises(FetchError, match="expected at most 50 pages, got more"):
        find_advisories(UPSTREAM, hub.url(""))
    assert len(hub.requests) == 50


# --- invalid answers


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"message": "x"}, "expected a list, got {'message': 'x'}"),
        ([1], "ghsa_id: expected str, got None"),
        ([published("GHSA-1")], "expected an id such as GHSA-g3g9-5vj6-r3gj, got 'GHSA-1'"),
        ([published(NEW, cve_id="x")], "expected an id such as CVE-2026-39860, got 'x'"),
        ([published(NEW, cve_id=1)], "cve_id: expected str, got 1"),
        ([published(NEW, summary=None)], "summary: expected str, got None"),
        ([published(NEW, vulnerabilities="x")], "vulnerabilities: expected list, got 'x'"),
        ([published(NEW, vulnerabilities=[{"patched_versions": 1}])], "patched_versions: expected"),
    ],
)
def test_invalid_answer_changes_neither_file(
    *, run: Run, hub: Server, known: Path, pinned: Path, content: object, problem: str
) -> None:
    hub.serve(listed(DETERMINATE), answer(200, content))
    before = known.read_text(), pinned.read_text()
    code, out, err = run("update")
    assert (code, out) == (4, "")
    assert "expected a list of advisories as GitHub documents it, got: " in err
    assert problem in err
    assert (known.read_text(), pinned.read_text()) == before
    assert not [path for path in hub.requests if "/releases/" in path]


def test_missing_project_is_reported(run: Run, hub: Server) -> None:
    hub.serve(listed(DETERMINATE), status(404))
    code, _, err = run("update")
    assert code == 4
    assert "expected the advisories of DeterminateSystems/nix-src, got none\n" in err


def test_invalid_advisories_toml_is_reported_before_any_request(
    run: Run, hub: Server, known: Path
) -> None:
    known.write_text("[x]\n")
    code, _, err = run("update")
    assert code == 3
    assert "advisories.toml: x: expected an id such as" in err
    assert hub.requests == []


@pytest.mark.parametrize("option", ["--json", "--version=3.22.1", "--dry-run"])
def test_options_of_update_are_refused_for_advisories(run: Run, option: str) -> None:
    code, out, err = run("advisories", option)
    assert (code, out) == (2, "")
    accepted = "show" if option == "--json" else "update"
    assert f"{option.partition('=')[0]}: expected pins {accepted}, got pins advisories" in err
