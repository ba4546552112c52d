"""Mask private text in a report: users, hosts, home directories, passwords in URLs."""

import re
from collections.abc import Callable

from accept.machine import Facts

_KEPT = frozenset({"root", "nix", "nixbld", "localhost", ""})
_URL = re.compile(r"(?<=://)[^/@\s]+@")


def masker(facts: Facts, host: str) -> Callable[[str], str]:
    """Return a function that masks text from ``host``, the name that ssh was called with."""
    user, _, address = host.rpartition("@")
    homes = {facts.home, f"/var/home/{facts.user}", f"/home/{facts.user}"} - {"", "/"}
    words = {facts.user: "USER", user: "USER"}
    for name in (facts.name, facts.name.partition(".")[0], address):
        words.setdefault(name, "HOST")
    # Longer names come first, since a longer one may begin with a shorter one.
    pairs = [(_path(home), "~") for home in sorted(homes, key=len, reverse=True)]
    for word in sorted(words, key=len, reverse=True):
        if word not in _KEPT:
            pairs.append((_word(word), words[word]))

    def mask(text: str) -> str:
        text = _URL.sub("…@", text)
        for pattern, shown in pairs:
            text = pattern.sub(shown, text)
        return text

    return mask


def _path(path: str) -> re.Pattern[str]:
    return re.compile(rf"{re.escape(path)}(?![\w.-])")


def _word(word: str) -> re.Pattern[str]:
    # A part of another name is not masked: a host "aurora" must not change the name nix-aurora.
    return re.compile(rf"(?<![\w-]){re.escape(word)}(?![\w-])")
