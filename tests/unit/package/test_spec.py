import datetime
import os
import re
from pathlib import Path

import pytest

from nix_aurora.errors import VerificationError
from nix_aurora.package.spec import Tarball, render_spec, rpm_version
from nix_aurora.package.tools import REQUIRES
from nix_aurora.run import run
from tests.units import UNITS

TOP = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).with_name("golden")
UPDATE = "NIX_AURORA_UPDATE_GOLDEN"
DATE = datetime.date(2026, 11, 2)


def rendered(*arches: str, version: str = "3.22.1", nixd: bool = False, level: int = 19) -> str:
    tarballs = [
        Tarball(f"closure-{arch}.tar.xz", arch, digit * 64)
        for digit, arch in zip("0123", arches, strict=False)
    ]
    names = ["payload-{}.tar"] + ["nixd-{}.tar"] * nixd
    sources = [tarball.name for tarball in tarballs]
    sources += [name.format(arch) for arch in arches for name in names]
    return render_spec(
        TOP,
        version=version,
        release=2,
        date=DATE,
        level=level,
        tarballs=tarballs,
        sources=sorted(sources),
    )


@pytest.mark.parametrize(
    ("name", "arches"),
    [
        ("one-architecture", ("aarch64",)),
        ("two-architectures", ("aarch64", "x86_64")),
        ("with-nixd", ("aarch64", "x86_64")),
    ],
)
def test_spec_equals_the_golden_file(name: str, arches: tuple[str, ...]) -> None:
    """To update the golden files, set NIX_AURORA_UPDATE_GOLDEN=1, and then read the diff."""
    path = GOLDEN / f"{name}.spec"
    text = rendered(*arches, nixd=name == "with-nixd")
    if os.environ.get(UPDATE):
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("3.22.1", "3.22.1"),
        ("2.35.0pre20260101", "2.35.0~pre20260101"),
        ("2.35.0pre20260101_abcdef", "2.35.0~pre20260101_abcdef"),
        ("2.35.0rc1", "2.35.0~rc1"),
        ("2.35.0beta2", "2.35.0~beta2"),
        ("2.35.0-1", "2.35.0_1"),
        ("2.34.8+1", "2.34.8+1"),
    ],
)
def test_version_is_converted_for_rpm(version: str, expected: str) -> None:
    assert rpm_version(version) == expected


@pytest.mark.parametrize("version", ["", "x", "1 2", "1\n%post", "%{x}", "1:2", "1/2", "é"])
def test_version_that_rpm_cannot_order_is_refused(version: str) -> None:
    with pytest.raises(
        VerificationError, match="cannot name the package: version: expected digits"
    ):
        rpm_version(version)


@pytest.mark.parametrize(
    ("older", "newer"),
    [("2.35.0pre2025", "2.35.0"), ("2.34.8", "2.35.0rc1"), ("2.35.0rc1", "2.35.0rc2")],
)
def test_versions_are_ordered_as_nix_orders_them(older: str, newer: str) -> None:
    compare = f"%{{lua: print(rpm.vercmp('{rpm_version(older)}', '{rpm_version(newer)}'))}}"
    assert run(["rpm", "--eval", compare]).strip() == "-1"


def test_rpm_reads_the_spec(tmp_path: Path) -> None:
    """No macro is left unexpanded, and the requirements are those in our tables."""
    spec = tmp_path / "nix-aurora.spec"
    spec.write_text(rendered("x86_64", version="3.22.1pre5"), encoding="utf-8")
    form = (
        "%{NVR}|[%{REQUIRENAME} ]|[%{CHANGELOGTEXT}]|%{PREINPROG}|"
        "%{CHANGELOGTIME:day}|%{PAYLOADCOMPRESSOR}"
    )
    command = ("rpmspec", "--query", "--target", "x86_64-linux", "--define", "dist .fc44")
    fields = run([*command, "--queryformat", form, spec]).split("|")
    assert fields[0] == "nix-aurora-3.22.1~pre5-2.fc44"
    assert set(REQUIRES) <= set(fields[1].split())
    assert fields[2] == "- Package Nix 3.22.1~pre5"
    assert fields[3] == "(none)"
    assert fields[4] == "Mon Nov 02 2026"
    expanded = run(["rpmspec", "--parse", "--target", "x86_64-linux", spec])
    assert not re.search(r"^[^#]*%\{", expanded, re.MULTILINE)
    assert f"systemctl --no-reload preset {' '.join(UNITS)}" in expanded


def test_missing_scriptlet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "scriptlets").mkdir()
    (tmp_path / "payload").symlink_to(TOP / "payload")
    (tmp_path / "nix-aurora.spec.in").write_text("@@ scriptlets.post @@\n")
    with pytest.raises(VerificationError, match=r"nix-aurora\.spec\.in: .* 'post'"):
        render_spec(tmp_path, version="3", release=1, date=DATE, level=19, tarballs=[], sources=[])
