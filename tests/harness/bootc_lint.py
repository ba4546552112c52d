#!/usr/bin/python3
"""``bootc container lint`` for images of Debian packages, which do not have bootc.

The distributions of the tests do not have bootc. The test's base image has this program under that
name, so the Containerfile calls it. It applies all rules of bootc 1.16.9
(github.com/bootc-dev/bootc, commit 534c76ea474a), each in a function with the name of bootc's own
in crates/lib/src/lints.rs. If the two differ, bootc is right. This program needs only Python, since
an image contains no other part of this project.
"""

import argparse
import configparser
import os
import re
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

_API_DIRECTORIES = ("dev", "proc", "sys", "run", "tmp", "var")
_REFERENCE = Path("/usr/share/doc/bootc/baseimage/base")  # BASEIMAGE_REF
_PREPARE_ROOT = "ostree/prepare-root.conf"
_INJECTED = Path("/run/systemd/resolve/stub-resolv.conf")  # CONTAINER_RUNTIME_FILES
_KARGS_KEYS = {"kargs", "match-architectures"}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\"}

Check = Callable[[], Iterator[str]]


@dataclass(frozen=True)
class Lint:
    """A rule of bootc; each line that it yields is a fault."""

    check: Check
    fatal: bool
    running: bool = True  # whether it also applies to the running root


def check_var_run() -> Iterator[str]:
    """Yield a fault unless /var/run is a link or missing."""
    path = Path("/var/run")
    if path.exists() and not path.is_symlink():
        yield f"not a symlink: {path}"


def check_buildah_injected() -> Iterator[str]:
    """Yield the files that a container build mounted over /etc and left there empty."""
    for path in map(Path, ("/etc/hostname", "/etc/resolv.conf")):
        if path.is_file() and not path.is_symlink() and not path.stat().st_size:
            yield f"an empty file: {path}"


def check_usretc() -> Iterator[str]:
    """Yield a fault if both /etc and /usr/etc exist."""
    if all(os.path.lexists(path) for path in ("/etc", "/usr/etc")):
        yield "beside /etc there is /usr/etc"


def check_parse_kargs() -> Iterator[str]:
    """Yield kernel arguments that are not in bootc's TOML form (crates/lib/src/bootc_kargs.rs)."""
    for path in sorted(Path("/usr/lib/bootc/kargs.d").glob("*.toml")):
        try:
            content = tomllib.loads(path.read_text())
        except ValueError as error:
            yield f"{path}: {error}"
            continue
        lists = [content.get("kargs"), content.get("match-architectures", [])]
        if content.keys() - _KARGS_KEYS or not all(map(_is_list_of_strings, lists)):
            yield f"{path}: expected lists of strings: kargs, match-architectures"


def check_kernel() -> Iterator[str]:
    """Yield a fault for two kernels (crates/ostree-ext/src/bootabletree.rs find_kernel_dir_fs)."""
    kernels = list(Path("/usr/lib/modules").glob("*/vmlinuz"))
    if len(kernels) > 1:
        yield f"more than one kernel: {', '.join(map(str, kernels))}"


def check_utf8() -> Iterator[str]:
    """Yield names and targets of links that are not UTF-8."""
    for path in _walk(Path("/")):
        texts = [path.name, str(path.readlink()) if path.is_symlink() else ""]
        if not all(map(_is_utf8, texts)):
            yield f"not UTF-8: {os.fsencode(path)!r}"


def check_api_dirs() -> Iterator[str]:
    """Yield the missing ones of the kernel's and systemd's directories, and /var."""
    for name in _API_DIRECTORIES:
        path = Path("/", name)
        if path.is_symlink() or not path.is_dir():
            yield f"expected a directory: {path}"


def check_composefs() -> Iterator[str]:
    """Yield a fault unless ostree mounts the root with composefs."""
    for root in _roots():
        paths = [root / place / _PREPARE_ROOT for place in ("etc", "usr/lib")]
        path = next((path for path in paths if path.exists()), None)
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        parser.read(path or [])
        # crates/ostree-ext/src/ostree_prepareroot.rs overlayfs_enabled_in_config
        enabled = parser.get("composefs", "enabled", fallback="no")
        transient = parser.get("root", "transient", fallback="no")
        on = {"yes", "true", "1", "maybe", "signed", "verity"}
        if enabled not in on and transient not in {"yes", "true", "1"}:
            yield f"{path or root / 'usr/lib' / _PREPARE_ROOT}: composefs is not enabled"


def check_baseimage_root() -> Iterator[str]:
    """Yield a fault unless /sysroot is a directory, and /ostree a link into it."""
    for root in _roots():
        if (root / "sysroot").is_symlink() or not (root / "sysroot").is_dir():
            yield f"expected a directory: {root / 'sysroot'}"
        link = root / "ostree"
        if not link.is_symlink() or link.readlink() != Path("sysroot/ostree"):
            yield f"expected a link to sysroot/ostree: {link}"


def check_varlog() -> Iterator[str]:
    """Yield logs that are not empty."""
    for path in _walk(Path("/var/log")):
        if not path.is_symlink() and path.is_file() and path.stat().st_size:
            yield f"a log: {path}"


def check_var_tmpfiles() -> Iterator[str]:
    """Yield paths in /var that tmpfiles.d does not declare (crates/tmpfiles/src/lib.rs).

    See find_missing_tmpfiles_current_root(), which it calls.
    """
    declared = set(_declared_by_tmpfiles())
    for path in _walk(Path("/var")):
        if path in declared:
            continue
        if path.is_symlink() or path.is_dir():
            yield f"not declared by tmpfiles.d: {path}"
        else:
            yield f"neither declared by tmpfiles.d nor a directory or link: {path}"


def check_sysusers() -> Iterator[str]:
    """Yield users and groups not in sysusers.d (crates/sysusers/src/lib.rs analyze())."""
    users, groups = _declared_by_sysusers()
    for what, declared in (("passwd", users), ("group", users | groups)):
        path = Path("/etc", what)
        if not path.exists():
            return  # bootc also checks nothing in this case
        names = [line.partition(":")[0] for line in path.read_text().splitlines()]
        for name in names:
            if name and name[0] not in "#+-" and name not in declared:
                yield f"not declared by sysusers.d: {name} in {path}"


def check_boot() -> Iterator[str]:
    """Yield files in /boot other than the boot loader's own directory; it must exist."""
    boot = Path("/boot")
    if not boot.is_dir():
        yield "expected a directory: /boot"
        return
    for path in boot.iterdir():
        if path.name != "EFI":
            yield f"in /boot: {path}"


def check_runtime_only_dirs() -> Iterator[str]:
    """Yield files in /run and /tmp, except what is mounted there while the image is built."""
    mounts = _mount_points()
    found = set()
    for directory in map(Path, ("/run", "/tmp")):  # noqa: S108 - not a place for files of ours
        if directory not in mounts:
            found |= {path for path in _walk(directory) if path not in mounts}
    # prune_known_run_paths() also ignores the file with the name servers.
    found.discard(_INJECTED)
    for parent in _INJECTED.parents[:-2]:
        if any(parent in path.parents for path in found):
            break
        found.discard(parent)
    yield from (f"a leftover: {path}" for path in sorted(found))


LINTS = {
    "var-run": Lint(check_var_run, fatal=True),
    "buildah-injected": Lint(check_buildah_injected, fatal=False, running=False),
    "etc-usretc": Lint(check_usretc, fatal=True),
    "bootc-kargs": Lint(check_parse_kargs, fatal=True),
    "kernel": Lint(check_kernel, fatal=True),
    "utf8": Lint(check_utf8, fatal=True),
    "api-base-directories": Lint(check_api_dirs, fatal=True),
    "baseimage-composefs": Lint(check_composefs, fatal=False),
    "baseimage-root": Lint(check_baseimage_root, fatal=True),
    "var-log": Lint(check_varlog, fatal=False),
    "var-tmpfiles": Lint(check_var_tmpfiles, fatal=False),
    "sysusers": Lint(check_sysusers, fatal=False),
    "nonempty-boot": Lint(check_boot, fatal=False),
    "nonempty-run-tmp": Lint(check_runtime_only_dirs, fatal=False),
}


def _roots() -> list[Path]:
    return [Path("/"), *([_REFERENCE] if _REFERENCE.is_dir() else [])]


def _mount_points() -> set[Path]:
    """Return the mount points, if the root has a /proc that lists them."""
    table = Path("/proc/self/mountinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    return {Path(line.split()[4]) for line in lines}


def _walk(top: Path) -> Iterator[Path]:
    """Yield everything below a directory, except what is mounted there."""
    mounts = _mount_points()
    for folder, directories, files in os.walk(top):
        yield from (Path(folder, name) for name in (*directories, *files))
        directories[:] = [name for name in directories if Path(folder, name) not in mounts]


def _is_list_of_strings(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_utf8(text: str) -> bool:
    try:
        os.fsencode(text).decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _lines(*directories: str) -> Iterator[str]:
    for directory in directories:
        for path in sorted(Path(directory).glob("*.conf")):
            yield from path.read_text().splitlines()


def _declared_by_tmpfiles() -> Iterator[Path]:
    """Yield the paths that tmpfiles.d declares, with parent directories as they are on disk.

    crates/tmpfiles/src/lib.rs read_tmpfiles(), tmpfiles_entry_get_path(), path_resolution.rs.
    """
    for line in _lines("/usr/lib/tmpfiles.d", "/etc/tmpfiles.d"):
        if match := re.match(r'\s*[^\s#]\S*\s+(?:"([^"]*)"|(\S+))', line):
            text = re.sub(r"\\(x..|.)", _unescaped, match[1] or match[2])
            path = Path("/", text)
            yield path.parent.resolve() / path.name


def _unescaped(match: re.Match[str]) -> str:
    code = match[1]
    return chr(int(code[1:], 16)) if code[0] == "x" else _ESCAPES.get(code, code)


def _declared_by_sysusers() -> tuple[set[str], set[str]]:
    """Return users, each with a group of the same name, and other groups: read_sysusers()."""
    words = [line.split() for line in _lines("/usr/lib/sysusers.d") if line and line[0] != "#"]
    users = {line[1] for line in words if line and line[0] in {"u", "u!"}}
    return users, {line[1] for line in words if line and line[0] == "g"}


def main(words: list[str]) -> int:
    """Check a root, print each fault with its rule on a line, and return the exit code."""
    # dnf5 runs this to learn whether the root is a running host's.
    if words == ["status", "--format=json"]:
        print('{"spec": {"image": null}}')
        return 0
    parser = argparse.ArgumentParser(prog="bootc", allow_abbrev=False)
    parser.add_argument("noun", choices=["container"])
    parser.add_argument("verb", choices=["lint"])
    parser.add_argument("--fatal-warnings", action="store_true")
    parser.add_argument("--rootfs", type=Path, help="another root than the one it runs in")
    arguments = parser.parse_args(words)
    if arguments.rootfs:
        os.chroot(arguments.rootfs)
        os.chdir("/")
    failed = 0
    for name, lint in LINTS.items():
        faults = list(lint.check()) if lint.running or arguments.rootfs else []
        for fault in faults:
            print(f"{'Failed lint' if lint.fatal else 'Lint warning'}: {name}: {fault}")
        failed += bool(faults) and (lint.fatal or arguments.fatal_warnings)
    print(f"Checks: {len(LINTS)}, failed: {failed}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
