"""Command line: ``python -m sample --out DIR``; prints the tarball's path."""

import argparse
import sys
from pathlib import Path

from nix_aurora import log
from nix_aurora.errors import AuroraError
from nix_aurora.release.cache import default_cache
from sample.make import LEVEL, make
from sample.target import ARCHITECTURES, SUITES, Target


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m sample",
        description="Make a Nix binary tarball in Determinate's shape from Debian's packages.",
    )
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0], help="whose Nix it is")
    parser.add_argument("--arch", choices=ARCHITECTURES, default="x86_64")
    parser.add_argument(
        "--cache-dir",
        type=Path,
        default=default_cache() / "sample",
        help="where downloads are kept (%(default)s)",
    )
    parser.add_argument("--refresh", action="store_true", help="look for newer packages")
    parser.add_argument("--out", type=Path, required=True, help="where the tarball goes")
    parser.add_argument(
        "--level", type=int, choices=range(10), default=LEVEL, help="xz's (%(default)s)"
    )
    parser.add_argument("-v", "--verbose", action="store_true", help="show every command")
    return parser.parse_args()


def main() -> int:
    """Run the command line; return the exit code."""
    arguments = _arguments()
    log.configure(log.Level.VERBOSE if arguments.verbose else log.Level.NORMAL)
    target = Target(arguments.suite, ARCHITECTURES[arguments.arch])
    try:
        result = make(
            target,
            cache=arguments.cache_dir.absolute(),
            out=arguments.out.absolute(),
            refresh=arguments.refresh,
            level=arguments.level,
        )
    except AuroraError as error:
        if arguments.verbose:
            raise
        log.error(error.message, error.hint)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    print(result)
    return 0


if __name__ == "__main__":
    sys.exit(main())
