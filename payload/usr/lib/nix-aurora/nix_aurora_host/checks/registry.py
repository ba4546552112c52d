"""Every kind of finding, and how bad it is.

Each kind that is an error or a warning has a fix. A scenario in tests/host makes the fault and runs
the fix as it is printed; tests/lint/test_findings.py lists the kinds that have none yet.
"""

from collections.abc import Mapping

from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.text import printable

_ERRORS = (
    *("closure-damaged", "closure-incomplete", "daemon-silent"),
    *(
        "database-damaged",
        "database-lost",
        "database-missing",
        "database-newer",
        "database-schema",
        "foreign-packages",
        "gcroot-missing",
        "import-missing",
        "import-stale",
    ),
    *(
        "import-unfinished",
        "nix-root-failed",
        "nix-root-stopped",
        "nix-conf-broken",
        "nix-foreign-mount",
    ),
    *("nix-foreign-store", "nix-link", "nix-not-mounted", "nix-read-only", "nix-remote"),
    *("nixbld-group-missing", "nixbld-users-missing", "package-corrupt", "package-damaged", "path"),
    *("paths-unregistered", "profile-missing", "profile-without-nix", "socket-gone"),
    *("socket-stopped", "space-full", "store-group", "store-noexec", "store-not-mounted"),
    *("store-unreadable", "systemd-silent", "unit-disabled", "unit-failed", "unit-masked"),
    *("unit-missing", "unit-shadowed"),
)
_WARNINGS = (
    *("daemon-outdated", "devbox-script", "devbox-version", "foreign-nixd", "foreign-receipt"),
    *("label", "layout-namespace", "nix-root-not-yet", "nix-conf-missing", "profile-lost"),
    *("profile-stale", "settings-file", "space-scarce", "unsafe-setting", "users-unknown"),
)
_NOTES = (
    *("aside-unread", "database-unread", "import-running", "import-unread", "layout-relocated"),
    *("login-broken", "nix-root-switched-off", "nix-root-unsuitable", "nix-conf-changed"),
    *("nix-conf-private", "nix-directory-missing", "paths-set-aside", "nix-root-writable"),
    *("roots-unregistered", "settings-file-unread"),
)
KINDS: Mapping[str, Severity] = {
    **dict.fromkeys(_ERRORS, Severity.ERROR),
    **dict.fromkeys(_WARNINGS, Severity.WARNING),
    **dict.fromkeys(_NOTES, Severity.NOTE),
}


def found(kind: str, message: str, fix: Fix, subject: str | None = None) -> Finding:
    """Return the finding of ``kind``, about ``subject`` where there can be several."""
    name = kind if subject is None else f"{kind}:{printable(subject)}"
    return Finding(name, KINDS[kind], message, fix)
