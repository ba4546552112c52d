"""Test that doctor shows text from others harmlessly, and that its fixes name only known files.

A fixed seed makes every run the same. NIX_AURORA_FUZZ_SECONDS makes a run longer, with a new seed.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from nix_aurora_host import nixconf, paths, units
from nix_aurora_host.checks.everything import judge
from nix_aurora_host.database.copies import Copy
from nix_aurora_host.former.facts import ANOTHER, Former, FormerStore, Trace
from nix_aurora_host.former.facts import Kind as FormerKind
from nix_aurora_host.former.files import judge_settings
from nix_aurora_host.former.mounts import find_lines, find_mount
from nix_aurora_host.former.scripts import judge_script
from nix_aurora_host.former.units import judge_unit
from nix_aurora_host.gather.database import Database
from nix_aurora_host.gather.everything import Basics, Facts
from nix_aurora_host.gather.host import (
    Foreign,
    Label,
    parse_contexts,
    parse_layered,
    parse_packages,
)
from nix_aurora_host.gather.logins import USER_FOLDERS, Remote, Shell, find_assignments, parse_login
from nix_aurora_host.gather.profile import Profile, parse_version
from nix_aurora_host.gather.settings import OWN, Settings, find_unknown, parse_error, parse_values
from nix_aurora_host.gather.store import AtNix, Store
from nix_aurora_host.gather.units import Daemon, Unit, parse_listening, parse_program, parse_units
from nix_aurora_host.gather.upgrades import parse_origin
from nix_aurora_host.nixconf import Place
from nix_aurora_host.occupants import find_mount_point
from nix_aurora_host.person import LostProfile, Person
from nix_aurora_host.report import doctor, status
from nix_aurora_host.system import Outcome
from nix_aurora_host.sysusers import parse_members

from tests.unit.bash_words import commands
from tests.unit.host.checks.test_checks import BASH, BASICS, CLOSURE, UNITS, WELL

T = TypeVar("T")

_SECONDS = float(os.environ.get("NIX_AURORA_FUZZ_SECONDS", "0"))
_EXAMPLES = 150
# Characters that are special for a shell, a terminal, or a parsed format.
_SHARP = st.sampled_from(
    [
        *("\n", "\r", "\t", "\0", "\x1b]0;x\x07", "\x9b31m", "\u202e", "\u2028", "\udcff"),
        *("'", '"', "`", "$(touch /x)", "; touch /x", "&& x", "| x", ">>/x", "\\", "$'", "-rf"),
        *("/", "..", "=", ":", "@", "*", " ", "#", "\U000e0041"),
        *("NIX_REMOTE=x", "export NIX_REMOTE=y", "set -x NIX_REMOTE z", "max-jobs = x\n"),
        *("include x\n", "!include /y\n", "trusted-users = @wheel\n", "sandbox = false\n"),
        *("error: ", "setting 'sandbox' has invalid value 'x'", ' in "/etc/shadow"'),
        *(" included from ", "Id=nix.mount\n", "LoadState=not-found\n", "ActiveState=failed\n"),
        *("MainPID=7\n", "\n\n", "nix-aurora: environment\n", "/nix/store/x/bin/y"),
        *("00010000 /x/daemon-socket/socket\n", "nix-core\n", "[", "}"),
        *('{"deployments": [{"booted": 1}]}', '{"sandbox": {"value": []}}'),
    ]
)
_TEXT = st.lists(st.one_of(_SHARP, st.text(max_size=4)), max_size=8).map("".join)
# A file name has no slash and no NUL, and is not empty.
_NAME = _TEXT.map(lambda text: text.replace("/", "").replace("\0", "")).filter(
    lambda text: text not in {"", ".", ".."}
)
_WORD = _TEXT.map(lambda text: text.replace("\0", ""))
_FLAG = st.booleans()

# Fixes may name doctor's own constants, and root's files under the package's names.
_FILES = {
    *("/nix", "/run/nix/store", "/", "/var", "/var/lib", "/dev/null", "/nix/nix-installer"),
    *("/nix/receipt.json", "/usr/local/bin/determinate-nixd", "/etc/environment"),
    *("/etc/nix/nix.conf", "/etc/nix/nix.custom.conf", "/etc/profile.d/nix.sh", paths.SETTINGS),
    *(f"/usr/lib/nix-aurora/etc/{name}" for name in ("nix/nix.conf", "nix/nix.custom.conf")),
    *("/usr/lib/nix-aurora/etc/profile.d/nix.sh", paths.PROFILE, paths.STORE, paths.ASIDE),
    *(paths.STAMP, paths.IMPORT_NEEDED),
    *(f"/etc/systemd/system/{name}" for name in units.UNITS),
}
_STORE_NAME = f"{'a' * 32}-name"  # other names are not roots
_FILES.add(f"/nix/store/{_STORE_NAME}")
_FILES |= {f"{path}.before-nix-aurora" for path in _FILES}


def _for_any(values: st.SearchStrategy[T]) -> Callable[[Callable[[T], None]], Callable[[], None]]:
    """Check a property, with some values of one seed, or with new ones for the requested time."""

    def decorate(test: Callable[[T], None]) -> Callable[[], None]:
        bounds = settings(
            derandomize=not _SECONDS,
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        )
        check = bounds(given(values)(test))

        def run() -> None:
            end = time.monotonic() + _SECONDS
            check()
            while time.monotonic() < end:
                check()

        run.__name__ = test.__name__
        return run

    return decorate


@st.composite
def _persons(draw: st.DrawFn) -> Person:
    home = draw(st.sampled_from(["/home/u", "/var/home/a b", "/home/it's"]))
    name = draw(st.sampled_from(["u", "-u", "a b"]))
    lost = draw(st.sampled_from([None, LostProfile.FOLDER, LostProfile.CONTENT]))
    return Person(1000, 1000, name, home, draw(_FLAG), lost, draw(_WORD))


@st.composite
def _remotes(draw: st.DrawFn, home: str) -> tuple[Remote, ...]:
    """Return settings of NIX_REMOTE, in files that the user has named and written."""
    folder = draw(st.sampled_from([*USER_FOLDERS]))
    values = (*find_assignments(draw(_TEXT)), draw(_WORD))
    own = [Remote(f"{home}/{folder}/{draw(_NAME)}.conf", value) for value in values]
    place = draw(st.sampled_from([None, "/etc/environment"]))
    return (*own, Remote(place, draw(_WORD)))


@st.composite
def _settings(draw: st.DrawFn, home: str) -> Settings:
    """Return Nix's output about settings, the user's or root's."""
    error = draw(st.one_of(st.none(), _TEXT))
    for_all = draw(_FLAG)
    path = "/etc/nix/nix.custom.conf" if for_all else f"{home}/{OWN}"
    there = draw(_FLAG)
    place = nixconf.find_error(error or "", {path: draw(_TEXT)}, lambda _: there)
    return Settings(
        draw(_FLAG),
        draw(_FLAG),
        draw(_FLAG),
        error,
        place,
        for_all,
        draw(_FLAG),
        {name: draw(_TEXT) for name in (*nixconf.UNSAFE, *nixconf.USERS)},
        nixconf.find_unsafe({"/etc/nix/nix.custom.conf": draw(_TEXT)}),
        {"trusted-users": (draw(st.integers(1, 1 << 31)),)},
    )


@st.composite
def _units(draw: st.DrawFn) -> dict[str, Unit]:
    """Return units as systemd describes them; their files may be another Nix's."""
    return {
        name: replace(
            unit,
            load=draw(st.sampled_from(["loaded", "masked", "not-found", "bad"])),
            active=draw(st.sampled_from(["active", "inactive", "failed", draw(_TEXT)])),
            result=draw(_TEXT),
            sub=draw(_TEXT),
            file_state=draw(st.sampled_from(["enabled", "disabled", "masked-runtime"])),
            fragment=draw(st.sampled_from(["", unit.fragment, f"/etc/{draw(_TEXT)}"])),
        )
        for name, unit in UNITS.items()
    }


@st.composite
def _stores(draw: st.DrawFn) -> Store:
    kind = st.sampled_from([AtNix.OURS, AtNix.OTHER_MOUNT, AtNix.OTHER_STORE, AtNix.LINK])
    return replace(
        BASICS.store,
        layout=draw(st.sampled_from(["mount", "namespace", "relocated", draw(_TEXT)])),
        nix=draw(kind),
        stamp=draw(st.one_of(st.none(), _TEXT)),
        stamp_read=draw(_FLAG),
        missing=draw(st.sampled_from([(), CLOSURE.paths])),
        noexec=draw(st.sampled_from([(), ("/var",), (f"/{draw(_TEXT)}",)])),
        roots={"nix": draw(_TEXT)},
        aside=draw(st.sampled_from([None, (), (draw(_NAME),)])),
        free=draw(st.sampled_from([0, 100 << 20, 9 << 30])),
        inodes=draw(st.sampled_from([0, 6_500_000])),
        read_only=draw(_FLAG),
        database=draw(_FLAG),
        listable=draw(_FLAG),
    )


@st.composite
def _basics(draw: st.DrawFn) -> Basics:
    program = f"/nix/store/{draw(_TEXT)}/bin/nix"
    owner = draw(st.sampled_from(["packaged", "imported", "administrator", "none"]))
    shown = None if owner == "none" else program
    return replace(
        BASICS,
        units=draw(st.one_of(_units(), st.just({}))),
        store=draw(_stores()),
        profile=Profile(draw(_FLAG), shown, owner, draw(_FLAG)),
        daemon=draw(st.sampled_from([None, Daemon(7, program)])),
        labels=draw(st.sampled_from([None, (Label("/", draw(_TEXT), "u:r:root_t:s0"),)])),
        database=draw(_databases()),
        former=draw(_formers()),
    )


@st.composite
def _formers(draw: st.DrawFn) -> Former:
    """Return leftovers of another Nix, in files of root's with arbitrary content."""
    traces = (
        Trace(kind, path, ANOTHER, draw(_TEXT), unit=draw(st.sampled_from([*UNITS, "x.service"])))
        for kind in FormerKind
        for path in ("/nix", "/etc/nix/nix.conf", "/etc/systemd/system/nix.mount")
        if draw(_FLAG)
    )
    stores = (FormerStore(draw(_WORD), draw(_WORD), draw(_FLAG)),)
    return Former(draw(st.sampled_from([(), tuple(traces)])), draw(st.sampled_from([(), stores])))


@st.composite
def _databases(draw: st.DrawFn) -> Database:
    """Return a database whose schema file has any text, and roots of any name."""
    copy = Copy("1", 1, 0, draw(_TEXT), draw(_TEXT))
    copies = draw(st.sampled_from([None, (), (copy,)]))
    return Database(
        copies=copies,
        lost=draw(_FLAG),
        damage=draw(st.sampled_from([None, draw(_TEXT)])),
        misread=draw(st.sampled_from([None, f"schema: expected a number, got '{draw(_TEXT)}'"])),
        schema=draw(st.sampled_from([None, 11])),
        reads=10,
        readable=copy if copies and draw(_FLAG) else None,
        vouched=(_STORE_NAME,) if draw(_FLAG) else (),
        unknown={f"/home/{draw(_TEXT)}": _STORE_NAME} if draw(_FLAG) else {},
    )


@st.composite
def _facts(draw: st.DrawFn) -> Facts:
    """Return facts that a hostile user and a careless root could cause."""
    person = draw(_persons())
    environment = draw(st.sampled_from([None, {}, {"PATH": draw(_TEXT)}]))
    shell: Shell = replace(
        BASH,
        environment=environment,
        script_intact=draw(_FLAG),
        startup=f"{person.home}/.bash_profile",
    )
    packages = parse_packages(draw(_TEXT), draw(_TEXT).split())
    return replace(
        WELL,
        basics=draw(_basics()),
        person=person,
        shells=(shell,),
        remotes=draw(_remotes(person.home)),
        foreign=Foreign(packages),
        settings=draw(_settings(person.home)),
        damaged=draw(st.sampled_from([(), (f"/nix/store/{draw(_TEXT)}",)])),
        host=replace(WELL.host, image=draw(_FLAG), ostree=draw(_FLAG)),
    )


def _named(words: list[str], home: str, *, as_root: bool) -> list[str]:
    """Return the files in a command that doctor does not know, or that root must not touch."""
    named = [word for word in words if word.startswith("/") and word not in _FILES]
    if as_root:
        return named
    return [word for word in named if word != home and not word.startswith(f"{home}/")]


def _check_fix(fix: str, facts: Facts) -> None:
    person = facts.person
    for words in commands(fix):
        if words[:5] == ["sudo", "-u", person.name, "bash", "-c"]:
            inner = commands(words[5])
            assert [_named(part, person.home, as_root=False) for part in inner] == [[]] * len(inner)
            assert words[6:] == []
        else:
            as_root = person.through_sudo or words[:1] == ["sudo"]
            assert _named(words, person.home, as_root=as_root) == []


@_for_any(_facts())
def test_findings_are_harmless(facts: Facts) -> None:
    findings = judge(facts)
    for root in (True, False):
        assert all(line.isprintable() for line in doctor.render(findings, root=root).split("\n"))
    assert all(line.isprintable() for line in status.render(facts.basics).split("\n"))
    for described in (doctor.describe(findings), status.describe(facts.basics)):
        json.dumps(described)
        for text in _strings(described):
            assert text.isprintable()
            text.encode()
    for finding in findings:
        if finding.fix is not None:
            _check_fix(finding.fix, facts)


def _strings(value: object) -> list[str]:
    if isinstance(value, dict):
        return [text for pair in value.items() for part in pair for text in _strings(part)]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    return [value] if isinstance(value, str) else []


@_for_any(_TEXT)
def test_no_text_breaks_a_parser(text: str) -> None:
    parse_units(text)
    parse_program(text)
    judge_unit(text)
    judge_script("/etc/bashrc", text)
    judge_settings(text)
    find_lines(text)
    find_mount(text)
    parse_listening(f"head\n{text}")
    parse_login(text)
    find_assignments(text)
    parse_error(Outcome(1, text, text))
    parse_layered(text)
    parse_origin(text, text)
    parse_origin(f"[origin]\n{text}", f"[Daemon]\n{text}")
    parse_contexts(text, ["/"])
    parse_version(text)
    find_mount_point(text, "/var/lib/nix")
    parse_members(text)
    assert set(parse_packages(text, text.split())) <= set(text.split())
    values = parse_values(text) | {"trusted-users": text}
    found = find_unknown(values, frozenset(), frozenset(), lambda _: (7,))
    assert set(found) <= set(nixconf.USERS)
    files = {"/etc/nix/nix.conf": text}
    error = nixconf.find_error(text, files, lambda _: False)
    for place in (error, *nixconf.find_unsafe(files).values()):
        assert place is None or place.path in files


@pytest.mark.parametrize("line", ["a $(b)", "a `b`", 'a "$b"', "a *", "a < b", "a\nb", "~/x"])
def test_command_parser_refuses_anything_but_words(line: str) -> None:
    with pytest.raises(ValueError, match="more than text"):
        commands(line)


def test_command_parser_reads_words() -> None:
    line = "sudo a 'b c'\"'\"'d' $'\\x1b\\'e' && f; g | h >>/i"
    assert commands(line) == [["sudo", "a", "b c'd", "\x1b'e"], ["f"], ["g"], ["h"], ["/i"]]


def test_fix_that_names_another_file_is_found() -> None:
    """The properties above depend on this check."""
    for fix in ("sudo mv /etc/nsswitch.conf /x", "sudo sed x /home/u/.profile"):
        with pytest.raises(AssertionError):
            _check_fix(fix, WELL)
    place = Place("/etc/shadow", 1)
    (found,) = judge(replace(WELL, settings=Settings(error="x", place=place, broken_for_all=True)))
    assert found.fix is not None
    with pytest.raises(AssertionError):
        _check_fix(found.fix, WELL)
