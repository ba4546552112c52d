"""Print as JSON what a desktop shows of a program, in a guest's session for test_desktop.py.

    desktop.py NAME

GLib finds the menu entry, as in GNOME, and pyxdg finds the icon, by the icon theme specification.
GLib starts the program, whose own output is printed first. ``env`` is the environment of the
session.
"""

import json
import os
import sys

import gi
from xdg import IconTheme

gi.require_version("GioUnix", "2.0")
from gi.repository import Gio, GioUnix, GLib  # noqa: E402 - gi needs the versions first


def _launch(entry: Gio.AppInfo) -> int:
    """Start the program as a menu does; return its exit code."""
    pids: list[int] = []
    entry.launch_uris_as_manager(
        [], None, GLib.SpawnFlags.DO_NOT_REAP_CHILD, None, None, lambda _, pid: pids.append(pid)
    )
    return os.waitstatus_to_exitcode(os.waitpid(pids[0], 0)[1])


def look(name: str) -> dict[str, object]:
    """Return the files of the menu entry and of its icon (or null), and the result of the start."""
    shown = [entry for entry in Gio.AppInfo.get_all() if entry.should_show()]
    found = {entry.get_id(): entry for entry in shown}.get(f"{name}.desktop")
    if found is None:
        return {"entry": None, "icon": IconTheme.getIconPath(name, 48), "exit": None}
    return {
        "entry": GioUnix.DesktopAppInfo.new(f"{name}.desktop").get_filename(),
        "icon": IconTheme.getIconPath(found.get_icon().to_string(), 48),
        "exit": _launch(found),
    }


if __name__ == "__main__":
    print(json.dumps({**look(sys.argv[1]), "env": dict(os.environ)}))
