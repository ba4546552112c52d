import tarfile
from pathlib import Path

import pytest

from nix_aurora.errors import VerificationError
from nix_aurora.files import sha256_file
from nix_aurora.package.render import render, render_payload, scriptlet

MTIME = 1_000_000_000


def payload(directory: Path) -> Path:
    """Make a payload with each kind of file."""
    files = {
        "etc/plain.conf": ("@@ not.rendered @@\n", 0o600),
        "etc/made.conf.in": ("name = @@ name @@\n", 0o644),
        "usr/bin/run.in": ("#!/bin/sh\necho @@ name @@ ${1%%.*}\n", 0o700),
    }
    for name, (text, mode) in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
    (directory / "usr/bin/skip").symlink_to("run")
    return directory


def pack(directory: Path, destination: Path) -> Path:
    render_payload(
        directory,
        {"name": "aurora"},
        links={"usr/bin/walk": "run", "usr/share/a": "../b"},
        extra={"usr/lib/extra": destination.parent / "extra"},
        destination=destination,
        mtime=MTIME,
    )
    return destination


@pytest.mark.parametrize(
    "text",
    [
        "%{?a:%{b}} %{!?_unitdir: %global x y} %(echo) %%{c}",
        "${1%%.*} ${a#b} ${#a[@]} ${a[@]/#/x} $((1 << 2)) {{ }} {% %} {# #}",
        '[ "$a" = "@" ] # a comment\n  # %if\n#!/bin/sh\n',
        "a line\n\n\n",
        "no newline at the end",
    ],
)
def test_rpm_and_shell_syntax_is_not_rendered(text: str) -> None:
    assert render(text, {}, "test") == text


def test_values_and_statements_are_rendered() -> None:
    text = "a\n#% for each in names\n%{?x} @@ each @@\n#% endfor\nb@@ names | length @@\n"
    assert render(text, {"names": ("c", "d")}, "test") == "a\n%{?x} c\n%{?x} d\nb2\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("@@ nothing @@", "'nothing' is undefined"),
        ("@@ value.nothing @@", "has no attribute 'nothing'"),
        ("#% if nothing\n#% endif\n", "'nothing' is undefined"),
        ("@@ value", "unexpected end of template"),
        ("#% for\n", "Expected an expression"),
    ],
)
def test_invalid_template_is_refused(text: str, problem: str) -> None:
    with pytest.raises(VerificationError) as caught:
        render(text, {"value": 1}, "x.conf")
    assert caught.value.message.startswith("cannot render a template: x.conf: ")
    assert problem in caught.value.message


def test_percent_signs_of_a_scriptlet_are_doubled(tmp_path: Path) -> None:
    path = tmp_path / "post.sh"
    path.write_text('#!/bin/sh\n# all of it\necho "${h%%.*}" 5% %%\n\n\n')
    assert scriptlet(path) == '# all of it\necho "${h%%%%.*}" 5%% %%%%'
    path.write_text("")
    assert scriptlet(path) == ""


def test_payload_has_modes_links_and_rendered_files(tmp_path: Path) -> None:
    (tmp_path / "extra").write_text("from elsewhere\n")
    with tarfile.open(pack(payload(tmp_path / "payload"), tmp_path / "payload.tar")) as archive:
        members = {member.name: member for member in archive}
        contents = {
            name: file.read().decode()
            for name, member in members.items()
            if member.isfile() and (file := archive.extractfile(member))
        }
    assert list(members) == sorted(members)
    assert contents == {
        "etc/made.conf": "name = aurora\n",
        "etc/plain.conf": "@@ not.rendered @@\n",
        "usr/bin/run": "#!/bin/sh\necho aurora ${1%%.*}\n",
        "usr/lib/extra": "from elsewhere\n",
    }
    modes = {name: f"{member.mode:o}" for name, member in members.items()}
    assert modes == {
        **dict.fromkeys(("etc", "usr", "usr/bin", "usr/lib", "usr/share"), "755"),
        **{"etc/made.conf": "644", "etc/plain.conf": "644", "usr/bin/run": "755"},
        **{"usr/lib/extra": "644", "usr/bin/walk": "777", "usr/share/a": "777"},
        "usr/bin/skip": "777",
    }
    assert members["usr/bin/skip"].linkname == "run"
    assert members["usr/bin/walk"].linkname == "run"
    assert members["usr/share/a"].linkname == "../b"
    for member in members.values():
        assert (member.uid, member.gid, member.mtime) == (0, 0, MTIME)
        assert (member.uname, member.gname) == ("root", "root")


def test_same_payload_has_the_same_bytes(tmp_path: Path) -> None:
    """Only the place, the times, and modes other than the owner's execute bit differ."""
    (tmp_path / "extra").write_text("from elsewhere\n")
    first = pack(payload(tmp_path / "one"), tmp_path / "one.tar")
    other = payload(tmp_path / "two" / "deeper")
    (other / "etc/plain.conf").chmod(0o666)
    (other / "usr/bin/run.in").chmod(0o755)
    (other / "usr/empty").mkdir()
    second = pack(other, tmp_path / "two.tar")
    assert sha256_file(first) == sha256_file(second)


def test_bytecode_is_left_out(tmp_path: Path) -> None:
    """Python writes bytecode if the payload runs from the source tree, and its bytes vary."""
    (tmp_path / "extra").touch()
    directory = payload(tmp_path / "payload")
    before = sha256_file(pack(directory, tmp_path / "before.tar"))
    compiled = directory / "usr/lib/module/__pycache__/x.cpython-311.pyc"
    compiled.parent.mkdir(parents=True)
    compiled.write_bytes(b"compiled")
    assert sha256_file(pack(directory, tmp_path / "after.tar")) == before
