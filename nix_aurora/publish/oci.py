"""Write an archive with an OCI image: the same files produce the same bytes.

Formats: https://github.com/opencontainers/image-spec/tree/v1.1.0: image-layout.md, image-index.md,
manifest.md, config.md, layer.md. The archive is a tar of the layout, as skopeo's and podman's
``oci-archive:`` read it.

podman and skopeo can write such an archive, too, but not with the same bytes everywhere: podman 4.3
takes the files' modes from the umask, writes its own version into the image, and compresses the
layer with the compressor that it was built with. Here the layer is not compressed (RPMs already
are), and owners, modes, times and order are fixed.
"""

import datetime
import hashlib
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nix_aurora import files

_INDEX = "application/vnd.oci.image.index.v1+json"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_BLOBS = "blobs/sha256"

Descriptor = dict[str, object]


@dataclass(frozen=True, slots=True)
class Image:
    """The image for one architecture, in Go's spelling; its files are those of ``directory``."""

    architecture: str
    directory: str
    files: Sequence[Path]


def write_archive(
    images: Sequence[Image], annotations: Mapping[str, str], time: int, tag: str, final: Path
) -> str:
    """Write ``images`` as one index with ``tag`` to ``final``, and return the index's digest.

    ``annotations`` are also each image's labels. ``time``, in seconds of the epoch, is the time of
    creation of every part.
    """
    final.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=final.parent, prefix=f".{final.name}.") as place:
        layout = Path(place)
        (layout / _BLOBS).mkdir(parents=True)
        manifests = [_add_image(layout, image, annotations, time) for image in images]
        index = _add_json(
            layout, _INDEX, {"annotations": dict(annotations), "manifests": manifests}
        )
        named = {**index, "annotations": {"org.opencontainers.image.ref.name": tag}}
        (layout / "index.json").write_bytes(_json({"schemaVersion": 2, "manifests": [named]}))
        (layout / "oci-layout").write_bytes(_json({"imageLayoutVersion": "1.0.0"}))
        with files.new_file(final) as path:
            _write_tar(path, layout, sorted(layout.rglob("*")), time)
    return str(index["digest"])


def rfc3339(time: int) -> str:
    """Return seconds of the epoch in the form that the specification requires."""
    return datetime.datetime.fromtimestamp(time, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _add_image(layout: Path, image: Image, annotations: Mapping[str, str], time: int) -> Descriptor:
    """Add an image's blobs to ``layout``, and return the descriptor of its manifest."""
    layer = _add_layer(layout, image, time)
    platform = {"architecture": image.architecture, "os": "linux"}
    config = {
        **platform,
        "created": rfc3339(time),
        "config": {"Labels": dict(annotations)},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]},
        "history": [{"created": rfc3339(time), "created_by": "build.py oci"}],
    }
    manifest = {
        "config": _add_json(layout, _CONFIG, config, typed=False),
        "layers": [layer],
        "annotations": dict(annotations),
    }
    return {**_add_json(layout, _MANIFEST, manifest), "platform": platform}


def _add_layer(layout: Path, image: Image, time: int) -> Descriptor:
    """Add a layer with the image's files, and return its descriptor."""
    with TemporaryDirectory(dir=layout) as place:
        root = Path(place)
        (root / image.directory).mkdir(parents=True)
        for path in image.files:
            (root / image.directory / path.name).symlink_to(path)
        blob = root.with_suffix(".tar")
        _write_tar(blob, root, sorted(root.rglob("*")), time)
    digest = files.sha256_file(blob)
    final = blob.replace(layout / _BLOBS / digest)
    return {"mediaType": _LAYER, "digest": f"sha256:{digest}", "size": final.stat().st_size}


def _add_json(
    layout: Path, media_type: str, content: Mapping[str, object], *, typed: bool = True
) -> Descriptor:
    """Add a JSON blob, and return its descriptor; a ``typed`` one contains its own media type."""
    own: dict[str, object] = {"schemaVersion": 2, "mediaType": media_type} if typed else {}
    data = _json({**own, **content})
    digest = hashlib.sha256(data).hexdigest()
    (layout / _BLOBS / digest).write_bytes(data)
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}


def _json(content: Mapping[str, object]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode("ascii")


def _write_tar(final: Path, root: Path, paths: Sequence[Path], time: int) -> None:
    """Write files and directories below ``root`` to a tar; follow links."""
    with tarfile.open(final, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in paths:
            member = tarfile.TarInfo(str(path.relative_to(root)))
            member.mtime = time
            if path.is_dir():
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
                continue
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)
