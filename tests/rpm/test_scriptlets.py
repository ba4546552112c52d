"""Test that rpm runs scriptlets unchanged, although rpmbuild expands macros in them twice."""

from pathlib import Path

import pytest

from nix_aurora.package.render import scriptlet
from nix_aurora.run import run
from tests.rpm.builder import TOP, Built, query

_HARD = """\
name=nix-3.22.1; echo "${name%%.*}" "${name%.*}" %% %{name} %{?x:y} %(id) %post "100%"
printf '%s\\n' "$(date +%s)" # ${#name} \\
"""
_SPEC = """\
Name: x
Version: 1
Release: 1
Summary: x
License: MIT
BuildArch: noarch
%description
%post
{body}
%files
"""


def test_each_character_survives_two_builds(tmp_path: Path) -> None:
    """Build from the spec to the SRPM, and from its spec to the RPM."""
    source, spec = tmp_path / "post.sh", tmp_path / "x.spec"
    source.write_text(f"#!/bin/sh\n{_HARD}")
    spec.write_text(_SPEC.format(body=scriptlet(source)))
    topdir = ("--define", f"_topdir {tmp_path}")
    run(["rpmbuild", *topdir, "-ba", spec])
    (direct,) = tmp_path.glob("RPMS/*/*.rpm")
    assert query(direct, "%{POSTIN}\n") == _HARD
    direct.unlink()
    run(["rpmbuild", *topdir, "--rebuild", *tmp_path.glob("SRPMS/*.rpm")])
    (rebuilt,) = tmp_path.glob("RPMS/*/*.rpm")
    assert query(rebuilt, "%{POSTIN}\n") == _HARD


@pytest.mark.parametrize(
    "path", sorted((TOP / "scriptlets").glob("p*.sh")), ids=lambda path: path.stem
)
def test_scriptlets_of_the_package_are_unchanged(built: Built, path: Path) -> None:
    tag = {"post": "POSTIN", "pre": "PREIN"}.get(path.stem, path.stem.upper())
    packaged = query(built.rpms["x86_64"], f"%{{{tag}}}\n")
    own = path.read_text()
    assert packaged.endswith(own)
    assert len([line for line in own.splitlines() if not line.startswith("#")]) <= 20


def test_scriptlets_are_run_by_the_shell(built: Built) -> None:
    for rpm in built.rpms.values():
        programs = query(rpm, "%{PREINPROG} %{POSTINPROG} %{PREUNPROG} %{POSTUNPROG}").split()
        assert set(programs) <= {"/bin/sh", "(none)"}
