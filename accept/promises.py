"""The project's promises, by the id of their check, with the page that makes each."""

from collections.abc import Mapping
from typing import NamedTuple


class Promise(NamedTuple):
    """A promise in one sentence, and the page of this repository that makes it."""

    text: str
    page: str


_README = "README.md"
_OTHERS = "docs/alternatives.md"
_BOOT = "docs/boot.md"
_BUILD_USERS = "docs/build-users.md"
_LAYOUTS = "docs/layouts.md"
_SECURITY = "docs/security.md"
_SELINUX = "docs/selinux.md"
_TROUBLE = "docs/troubleshooting.md"
_UPGRADE = "docs/upgrade.md"

PROMISES: Mapping[str, Promise] = {
    "package": Promise("The package is installed, and its command runs.", _README),
    "layout": Promise("Each boot makes the store appear where its layout says.", _LAYOUTS),
    "read-only": Promise("A root directory that was moved is read-only.", _BOOT),
    "units": Promise("No unit of nix-aurora has failed, and the daemon's socket listens.", _README),
    "system": Promise("The boot has no failed unit.", _BOOT),
    "users": Promise("The daemon has build users, who cannot log in.", _BUILD_USERS),
    "labels": Promise("The store and its sockets have the labels of the policy.", _SELINUX),
    "denials": Promise("SELinux denied nothing that concerns Nix in this boot.", _SELINUX),
    "doctor": Promise("nix-aurora doctor ends with: all is well.", _README),
    "doctor-root": Promise("It does so as root, who sees more.", _TROUBLE),
    "daemon": Promise("nix and the daemon run the packaged Nix.", _UPGRADE),
    "sudo": Promise("sudo nix works.", _OTHERS),
    "build": Promise("An ordinary user builds through the daemon, in a sandbox.", _SECURITY),
    "profile-add": Promise("nix profile add adds a program for an ordinary user.", _README),
    "bare-name": Promise("An added program starts by its bare name in a new login.", _README),
    "user-unit": Promise("It starts by its bare name in a unit of the user's systemd.", _OTHERS),
    "desktop-entry": Promise("The desktop session finds the entry of an added program.", _OTHERS),
    "profile-remove": Promise("nix profile remove removes it again.", _README),
    "network": Promise("nix profile add installs a program from a binary cache.", _README),
    "collect": Promise("A garbage collection keeps the packaged Nix and every root.", _UPGRADE),
    "rpm-ostree": Promise("rpm-ostree works with the package.", _UPGRADE),
    "bootc": Promise("bootc works with the package.", _UPGRADE),
    "ostree": Promise("ostree knows the booted deployment.", _BOOT),
    "upgrade": Promise("The host can look for an upgrade.", _UPGRADE),
    "reboot": Promise("A reboot brings the host up again.", _README),
    "rollback": Promise("After a rollback Nix follows the deployment.", _README),
    "back": Promise("The way back from a rollback brings the same host again.", _UPGRADE),
}
