from pathlib import Path

from nix_aurora_host import units

from nix_aurora.package.lists import (
    Unit,
    list_unit_files,
    read_fedora_packages,
    read_units,
)
from nix_aurora.package.render import render

TOP = Path(__file__).resolve().parents[3]
UNIT_FILES = TOP / "payload/usr/lib/systemd/system"
PRESET = TOP / "payload/usr/lib/systemd/system-preset/80-nix-aurora.preset.in"


def _read(unit: str) -> str:
    path = UNIT_FILES / unit
    return (path if path.exists() else path.with_name(f"{unit}.in")).read_text(encoding="utf-8")


def test_units_are_listed_in_the_order_of_their_start() -> None:
    names = [unit.name for unit in read_units(TOP)]
    for position, name in enumerate(names):
        after = {
            word
            for line in _read(name).splitlines()
            if line.startswith("After=")
            for word in line.removeprefix("After=").split()
        }
        assert after.isdisjoint(names[position:]), name


def test_each_unit_is_started_as_its_file_says() -> None:
    for unit in read_units(TOP):
        enabled = unit.start in {"preset", "requested"}
        assert ("\n[Install]\n" in _read(unit.name)) == enabled, unit
        wanted = list(UNIT_FILES.glob(f"*.wants/{unit.name}"))
        assert bool(wanted) == (unit.start == "wanted"), unit
        assert unit.start in {"preset", "requested", "wanted", "triggered"}


def test_preset_decides_on_every_unit_that_can_be_enabled() -> None:
    text = render(PRESET.read_text(encoding="utf-8"), {"units": read_units(TOP)}, PRESET.name)
    names = {path.name.removesuffix(".in") for path in UNIT_FILES.iterdir() if path.is_file()}
    decided = {name for name in names if "\n[Install]\n" in _read(name)} - {"nix-gc.timer"}
    lines = [*(f"enable {name}" for name in decided), "disable nix-gc.timer"]
    assert sorted(text.splitlines()) == sorted(lines)


def test_host_reads_the_same_units() -> None:
    assert list(units.ALL) == [unit.name for unit in read_units(TOP)]
    others = (*units.BACKUP, *units.COLLECTION)
    assert tuple(name for name in units.ALL if name not in units.UNITS) == others
    assert units.parse("# a comment\na.service preset\nb.timer wanted\n") == (
        "a.service",
        "b.timer",
    )


def test_lists_are_read(tmp_path: Path) -> None:
    own = tmp_path / "payload/usr/lib/nix-aurora"
    own.mkdir(parents=True)
    (own / "units").write_text("# why\na.service   preset\n", encoding="utf-8")
    (own / "fedora-packages").write_text("nix\nnix-core\n", encoding="utf-8")
    folder = tmp_path / "payload/usr/lib/systemd/system"
    (folder / "x.target.wants").mkdir(parents=True)
    (folder / "x.target.wants/b.timer").symlink_to("../b.timer")
    (folder / "b.timer").touch()
    (folder / "a.service.in").touch()
    assert read_units(tmp_path) == [Unit("a.service", "preset")]
    assert read_fedora_packages(tmp_path) == ["nix", "nix-core"]
    assert list_unit_files(tmp_path) == ["a.service", "b.timer", "x.target.wants/b.timer"]
