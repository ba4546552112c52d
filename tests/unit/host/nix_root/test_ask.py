"""Test nix-root's calls of other programs, and its names of units."""

import pytest
from nix_aurora_host.errors import CommandError
from nix_aurora_host.nix_root import ask


def test_layout_is_the_last_line_of_the_settings() -> None:
    assert ask.parse_layout("set\t1\tSTORE_LAYOUT\tnamespace\nlayout\tnamespace\n") == "namespace"


def test_each_unit_is_a_paragraph() -> None:
    text = "ActiveState=inactive\n\nActiveState=active\nJob=12\n"
    assert ask.parse_units(text) == [
        {"ActiveState": "inactive"},
        {"ActiveState": "active", "Job": "12"},
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/boot", "boot.mount"),
        ("/boot/efi", "boot-efi.mount"),
        ("/a b", r"a\x20b.mount"),
        ("/a-b", r"a\x2db.mount"),
        ("/.hidden", r"\x2ehidden.mount"),
        ("/ä", r"\xc3\xa4.mount"),
    ],
)
def test_unit_names_are_the_same_as_systemds(path: str, name: str) -> None:
    """The names are the output of `systemd-escape --path --suffix=mount`."""
    assert ask.unit_name(path, ".mount") == name


def test_failed_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "_LAYOUT", "/bin/false")
    with pytest.raises(CommandError, match="cannot run /bin/false --settings: exit code 1"):
        ask.ask_layout()


def test_output_of_a_program_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "_SYSTEMCTL", "/bin/echo")
    assert ask.ask_units(["x.mount"], "LoadState") == [{"show --property": "LoadState x.mount"}]
