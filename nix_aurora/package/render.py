"""Render templates to files: ``payload/``, ``scriptlets/`` and ``nix-aurora.spec.in``.

A file named ``*.in`` is rendered, every other one is copied byte for byte. Delimiters are ``@@
value @@`` and, for whole lines, ``#% statement``: the usual ones clash with RPM's ``%{...}`` and
the shell's ``${#array[@]}``.
"""

import os
import tarfile
from collections.abc import Iterator, Mapping, Set
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import jinja2

from nix_aurora.errors import VerificationError

_SHEBANG = "#!"


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        variable_start_string="@@",
        variable_end_string="@@",
        block_start_string="@%",
        block_end_string="%@",
        comment_start_string="@#",
        comment_end_string="#@",
        line_statement_prefix="#%",
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - shell, unit files and a spec, no HTML
    )


def render(template: str, context: Mapping[str, object], name: str) -> str:
    """Render a template; raise VerificationError, with ``name``, for an undefined value."""
    try:
        return _environment().from_string(template).render(context)
    except jinja2.TemplateError as error:
        raise VerificationError(f"cannot render a template: {name}: {error}") from error


def scriptlet(path: Path) -> str:
    """Return a scriptlet's body in the form for a spec.

    rpmbuild expands macros in scriptlets, so the shell's ``${name%%.*}`` would lose a ``%``: each
    one is doubled. The shebang, which only the linters need, is left out.
    """
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and lines[0].startswith(_SHEBANG):
        del lines[0]
    return "".join(lines).replace("%", "%%").rstrip("\n")


def _each(trees: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """Yield each of ``trees``, and everything inside the directories among them."""
    for name, path in trees.items():
        yield name, path
        if path.is_dir() and not path.is_symlink():
            for below in path.rglob("*"):
                yield f"{name}/{below.relative_to(path).as_posix()}", below


def render_payload(
    payload: Path,
    context: Mapping[str, object],
    *,
    links: Mapping[str, str],
    extra: Mapping[str, Path],
    programs: Mapping[str, Path] = MappingProxyType({}),
    destination: Path,
    mtime: int,
) -> None:
    """Write the payload as an uncompressed tar, which the spec unpacks into the build root.

    Templates get the names in ``context``, and ``payload``, a function that returns the text of
    another file of the payload, without its last newline. ``links`` are symlinks beside the
    payload's own, ``extra`` files or whole directories and ``programs`` executables from elsewhere,
    all by their path below ``/``. Everything belongs to root, has mode 0755 if the owner may
    execute it and 0644 otherwise, has the mtime ``mtime`` (seconds since 1970), and is in byte
    order: the same inputs produce the same bytes.
    """
    files: dict[str, tuple[bytes, bool]] = {}
    links = dict(links)
    context = {**context, "payload": lambda name: (payload / name).read_text().removesuffix("\n")}
    for path in sorted(payload.rglob("*")):
        name = path.relative_to(payload).as_posix()
        if path.is_symlink():
            links[name] = os.fspath(path.readlink())
            continue
        # our Python leaves these caches if somebody runs it
        if path.is_dir() or path.parent.name == "__pycache__":
            continue
        content = path.read_bytes()
        if path.suffix == ".in":
            name = name.removesuffix(".in")
            content = render(content.decode(), context, name).encode()
        files[name] = content, os.access(path, os.X_OK)
    folders: set[str] = set()
    for name, path in _each(extra):
        if path.is_symlink():
            links[name] = os.fspath(path.readlink())
        elif path.is_dir():
            folders.add(name)
        else:
            files[name] = path.read_bytes(), False
    for name, path in programs.items():
        files[name] = path.read_bytes(), True

    _write(files, links, folders, destination, mtime)


def _write(
    files: Mapping[str, tuple[bytes, bool]],
    links: Mapping[str, str],
    folders: Set[str],
    destination: Path,
    mtime: int,
) -> None:
    """Write the tar, with an entry for each parent directory; a file is (content, executable)."""
    named = {*files, *links, *folders}
    parents = {parent.as_posix() for name in named for parent in Path(name).parents} - {"."}
    # GNU or pax headers are needed if a link's target exceeds 100 bytes, as store paths may.
    with tarfile.open(destination, "w", format=tarfile.PAX_FORMAT) as archive:
        for name in sorted(named | parents, key=os.fsencode):
            member = tarfile.TarInfo(name)
            member.mtime = mtime
            member.uname = member.gname = "root"
            if name in links:
                member.type, member.linkname, member.mode = tarfile.SYMTYPE, links[name], 0o777
                archive.addfile(member)
            elif name in files:
                content, executable = files[name]
                member.size, member.mode = len(content), 0o755 if executable else 0o644
                archive.addfile(member, BytesIO(content))
            else:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(member)
