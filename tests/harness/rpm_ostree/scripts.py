"""Run scriptlets: which of a package's scriptlets run, and how."""

import shlex
from dataclasses import dataclass

import rpm

from nix_aurora.errors import ToolError
from tests.harness.rpm_ostree.container import WORK, Mutability, Root
from tests.harness.rpm_ostree.package import Package

STATE = "/run/rpm-state"  # scriptlets see this directory at /var/lib/rpm-state
_LUA = "<lua>"
_EXPAND = 1  # RPMSCRIPT_FLAG_EXPAND
_INSTALL = "1"  # $1 has this value in every case: rpmostree-scripts.cxx:569 impl_run_rpm_script
# rpmostree-scripts.cxx:88. %preun, %postun, %pretrans, %verifyscript and all other triggers are
# ignored.
KINDS = {
    "%prein": (rpm.RPMTAG_PREIN, rpm.RPMTAG_PREINPROG, rpm.RPMTAG_PREINFLAGS),
    "%post": (rpm.RPMTAG_POSTIN, rpm.RPMTAG_POSTINPROG, rpm.RPMTAG_POSTINFLAGS),
    "%posttrans": (rpm.RPMTAG_POSTTRANS, rpm.RPMTAG_POSTTRANSPROG, rpm.RPMTAG_POSTTRANSFLAGS),
}
_TRIGGER = "%transfiletriggerin"
# scripts.rs:56 IGNORED_PKG_SCRIPTS, without those of kernels.
_IGNORED = frozenset(
    {
        *("glibc.prein", "glibc-headers.prein", "coreutils.prein", "ca-certificates.prein"),
        *("libgcc.post", "filesystem.posttrans", "setup.post", "pinentry.prein"),
        *("fedora-release.posttrans", "vagrant.prein", "vagrant-libvirt.prein", "bash.post"),
        *("gdb.prein", "systemd.transfiletriggerin", "man-db.transfiletriggerin"),
        *("filesystem.transfiletriggerin", "nfs-utils.post", "microcode_ctl.post"),
        "microcode_ctl.posttrans",
    }
)
# rpmostree-scripts.cxx:119 lua_replacements: only those that run one plain command. The others
# belong to packages that nobody layers.
_REPLACED = {
    "glibc-common.transfiletriggerin": ("/usr/bin/sh", "/sbin/ldconfig"),
    "glibc.posttrans": ("/usr/bin/true", ""),
    "authselect-libs.prein": ("/usr/bin/bash", "touch /var/lib/rpm-state/authselect.force"),
}
_SKIP = "-- rpm-ostree-skip"
# find_and_write_matching_files prints the paths below each directory, but not the directory.
_FIND = r"""
for pattern; do
    pattern=${pattern%"${pattern##*[!/]}"}
    [ ! -e "/$pattern" ] || find -H "/$pattern" ! -type d
done
"""


@dataclass(frozen=True)
class Ran:
    """A scriptlet that ran and exited with 0: ``package.kind``, and its output."""

    name: str
    output: str


def run_scriptlet(root: Root, package: Package, kind: str) -> Ran | None:
    """Run the package's scriptlet of a kind; return None if there is none to run.

    Raises ToolError with rpm-ostree's message if it fails or cannot be run.
    rpmostree-scripts.cxx:615 run_script, :499 impl_run_rpm_script.
    """
    tag, program_tag, flags_tag = KINDS[kind]
    name = f"{package.name}.{kind[1:]}"
    body = package.header[tag]
    if body is None or name in _IGNORED:  # a program alone (-p /sbin/ldconfig) is not a scriptlet
        return None
    programs = package.header[program_tag]
    # The arguments of a program are not passed on.
    interpreter = programs[0] if programs else "/bin/sh"
    if interpreter == _LUA and _says_skip(body):
        return None
    interpreter, body = _without_lua(package, kind, interpreter, body)
    if (package.header[flags_tag] or 0) & _EXPAND:
        body = rpm.expandMacro(body)
    try:
        output = _run(root, interpreter, body, (_INSTALL,), state=True)
    except ToolError as error:
        raise ToolError(f"Running {kind} for {package.name}: {error.message}") from error
    return Ran(name, output)


def run_file_triggers(root: Root, package: Package) -> list[Ran]:
    """Run the package's %transfiletriggerin, for all files that are now in the tree.

    rpmostree-scripts.cxx:782 rpmostree_transfiletriggers_run_sync.
    """
    if f"{package.name}{_TRIGGER.replace('%', '.')}" in _IGNORED:
        return []
    header = package.header
    ran = []
    scripts = header[rpm.RPMTAG_TRANSFILETRIGGERSCRIPTS] or []
    flags = header[rpm.RPMTAG_TRANSFILETRIGGERSCRIPTFLAGS] or [0] * len(scripts)
    for number, body in enumerate(scripts):
        files = _matching(root, _patterns(header, number))
        if not files:
            continue
        interpreter = header[rpm.RPMTAG_TRANSFILETRIGGERSCRIPTPROG][number]
        try:
            chosen, text = _without_lua(package, _TRIGGER, interpreter, body)
            if text == body and flags[number] & _EXPAND:
                text = rpm.expandMacro(text)
            output = _run(root, chosen, text, (), state=False, stdin=files)
        except ToolError as error:
            raise ToolError(f"Executing {_TRIGGER} for {package.name}: {error.message}") from error
        ran.append(Ran(f"{package.name}.{_TRIGGER[1:]}", output))
    return ran


def _patterns(header: rpm.hdr, number: int) -> list[str]:
    """Return the directories that a trigger matches; those outside /usr do not count.

    rpmostree-scripts.cxx:716 find_and_write_matching_files.
    """
    named = zip(
        header[rpm.RPMTAG_TRANSFILETRIGGERINDEX],
        header[rpm.RPMTAG_TRANSFILETRIGGERFLAGS],
        header[rpm.RPMTAG_TRANSFILETRIGGERNAME],
        strict=True,
    )
    patterns = [
        name.lstrip("/")
        for index, sense, name in named
        if index == number and sense & rpm.RPMSENSE_TRIGGERIN
    ]
    return [
        pattern
        for pattern in patterns
        if pattern.startswith("usr/") and not pattern.startswith("usr/local")
    ]


def _matching(root: Root, patterns: list[str]) -> str:
    return root.scratch.run(f"set -- {shlex.join(patterns)}\n{_FIND}").stdout


def _says_skip(body: str) -> bool:
    """Return whether Lua asks to be skipped: rpmostree-scripts.cxx:478 lua_script_has_skip."""
    return any(line.startswith(_SKIP) for line in body.split("\n")[:10])


def _without_lua(package: Package, kind: str, interpreter: str, body: str) -> tuple[str, str]:
    """Return interpreter and body; for Lua, rpm-ostree's replacements.

    rpmostree-scripts.cxx:223 fail_if_interp_is_lua.
    """
    if interpreter != _LUA:
        return interpreter, body
    try:
        return _REPLACED[f"{package.name}.{kind[1:]}"]
    except KeyError:
        raise ToolError(
            f"Package '{package.name}' has (currently) unsupported {_LUA} script in '{kind}'"
        ) from None


def _run(
    root: Root,
    interpreter: str,
    body: str,
    words: tuple[str, ...],
    *,
    state: bool,
    stdin: str = "",
) -> str:
    """Run a scriptlet's text: rpmostree-scripts.cxx:311 rpmostree_run_script_in_bwrap_container.

    bwrap.rs:392 setup_compat_var; :307 setup_rofiles. The interpreter reads the text from an open
    file descriptor.
    """
    (root.work / "script").write_text(body, encoding="utf-8")
    (root.work / "stdin").write_text(stdin, encoding="utf-8")
    opt = root.scratch.run("[ ! -d /usr/lib/opt ] || echo --symlink usr/lib/opt /opt").stdout
    arguments = (
        *("--ro-bind", "./var", "/var", "--tmpfs", "/var/tmp"),  # noqa: S108 - not this machine's
        *opt.split(),
        *("--ro-bind", "usr/share/empty", "usr/share/rpm", "--tmpfs", "/run"),
        *("--ro-bind-data", "3", "/run/ostree-booted"),
        *(("--bind", STATE, "/var/lib/rpm-state") if state else ()),
    )
    return root.contain(
        [interpreter, "/proc/self/fd/5", *words],
        Mutability.ROFILES,
        arguments,
        environment=("SYSTEMD_OFFLINE=1",),
        stdin=f"{WORK}/stdin",
        descriptors=f"3</dev/null 5<{WORK}/script",
    )
