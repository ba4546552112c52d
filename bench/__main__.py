"""``python -m bench``: measure, and print a table; no test asserts these figures."""

import argparse
import datetime
import platform
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import boot, builder, disks, host, selinux
from bench.measure import Figure, machine


def _row(figure: Figure) -> tuple[str, ...]:
    ratio = f"{figure.ours / figure.floor:.2f} x" if figure.floor else ""
    digits = 0 if figure.unit == "B" else 2
    return (
        figure.name,
        f"{figure.ours:.{digits}f} {figure.unit}",
        f"{figure.floor:.{digits}f} {figure.unit}" if figure.floor else "",
        ratio,
        figure.target,
        f"{figure.peak >> 20} MiB" if figure.peak else "",
        figure.floor_is,
    )


def main() -> None:
    """Measure the builder on a tarball, and the host side with the package built from it."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("tarball", type=Path)
    parser.add_argument("--times", type=int, default=5, help="runs of each, for the median")
    parser.add_argument("--beside", type=Path, help="another RPM, to compare the imports of both")
    arguments = parser.parse_args()

    table = Table("", "ours", "floor", "ratio", "target", "peak", "the floor is")
    with tempfile.TemporaryDirectory(prefix="nix-aurora-bench-") as place:
        work = Path(place)
        for figure in builder.figures(arguments.tarball, work, arguments.times):
            table.add_row(*_row(figure))
        (package,) = (work / "out").glob(f"*.{platform.machine()}.rpm")
        for figure in host.figures(package, work, arguments.times):
            table.add_row(*_row(figure))
        for figure in disks.figures(package, work, arguments.times, arguments.beside):
            table.add_row(*_row(figure))
        for figure in boot.figures(package, work, arguments.times):
            table.add_row(*_row(figure))
        for figure in selinux.figures(package, work, arguments.times):
            table.add_row(*_row(figure))
    console = Console(width=140)
    console.print(f"{datetime.datetime.now(tz=datetime.UTC).date()}, {machine()}", highlight=False)
    console.print(table)


if __name__ == "__main__":
    main()
