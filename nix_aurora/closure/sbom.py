"""Render the closure's software bill of materials.

Format: SPDX 2.3, JSON (ISO/IEC 5962; https://spdx.github.io/spdx-spec/v2.3/).
"""

import datetime
import json
import re
from collections.abc import Mapping

from nix_aurora.closure.identifiers import cpe, purl
from nix_aurora.closure.license_list import escape
from nix_aurora.closure.licenses import Finding
from nix_aurora.closure.manifest import closure_id
from nix_aurora.closure.proof import Closure
from nix_aurora.store.paths import split_name
from nix_aurora.store.reginfo import PathInfo

_NAMESPACE = "https://spdx.org/spdxdocs/nix-aurora"
_NOT_IN_ID = re.compile(r"[^0-9A-Za-z.-]")


def render(closure: Closure, findings: Mapping[str, Finding], date: datetime.date) -> str:
    """Render the document, with a package for each store path and ``date`` as its creation time.

    ``findings`` are the licenses, by store path.
    """
    roots = [path for path in (closure.nix, closure.cacert, closure.manual) if path]
    document_id = "SPDXRef-DOCUMENT"
    content = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": document_id,
        "name": f"nix-{closure.version}-{closure.system}",
        "documentNamespace": f"{_NAMESPACE}/{closure_id(closure)}",
        "creationInfo": {
            "created": f"{date.isoformat()}T00:00:00Z",
            "creators": ["Tool: nix-aurora"],
        },
        "packages": [_package(info, findings[info.path]) for info in closure.paths],
        "relationships": [
            *(_relation(document_id, "DESCRIBES", _id(path)) for path in roots),
            *(
                _relation(_id(info.path), "DEPENDS_ON", _id(reference))
                for info in closure.paths
                for reference in sorted(info.references)
                if reference != info.path
            ),
        ],
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _package(info: PathInfo, finding: Finding) -> dict[str, object]:
    name, version = split_name(info.path)
    package: dict[str, object] = {
        "SPDXID": _id(info.path),
        "name": name,
        "packageFileName": info.path,
        "downloadLocation": "NOASSERTION",
        "filesAnalyzed": False,
        "licenseConcluded": finding.concluded,
        "licenseDeclared": finding.declared,
        "licenseComments": _comments(finding),
        "copyrightText": "NOASSERTION",
        "checksums": [{"algorithm": "SHA256", "checksumValue": info.nar_hash.hex()}],
        "comment": "The checksum is that of the store path's NAR serialization.",
    }
    if version:
        package["versionInfo"] = version
        package["externalRefs"] = [
            _reference("SECURITY", "cpe23Type", cpe(name, version)),
            _reference("PACKAGE-MANAGER", "purl", purl(name, version)),
        ]
    return package


def _reference(category: str, kind: str, locator: str) -> dict[str, str]:
    """Return a reference to another name of the package; SPDX 2.3, 7.21 and annex F."""
    return {
        "referenceCategory": category,
        "referenceType": kind,
        "referenceLocator": locator,
    }


def _comments(finding: Finding) -> str:
    """Return a comment that names the files with the licenses; SPDX 2.3, 7.16."""
    if not finding.texts:
        return "The store path contains no file about its license."
    lines = []
    for text in finding.texts:
        names = f", which names: {'; '.join(map(escape, text.names))}" if text.names else ""
        lines.append(f"Found in {escape(text.path)} (SHA-256 {text.sha256}){names}.")
    return "\n".join(lines)


def _id(path: str) -> str:
    """Return a package's SPDXID; the hash in it makes it unique."""
    return "SPDXRef-" + _NOT_IN_ID.sub("-", path.rpartition("/")[2])


def _relation(element: str, kind: str, related: str) -> dict[str, str]:
    return {
        "spdxElementId": element,
        "relationshipType": kind,
        "relatedSpdxElement": related,
    }
