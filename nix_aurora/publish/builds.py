"""Follow builds at COPR until the last one ends.

``copr.v3.helpers.wait`` is not enough: it does not report chroots, whose states and logs people
want to see, and it ends at the first dropped connection.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from copr.v3 import Client

from nix_aurora import log
from nix_aurora.errors import BuildError, PublishError
from nix_aurora.publish import session

# The final states in StatusEnum of copr_common/enums.py.
_GOOD = frozenset({"succeeded", "skipped", "forked"})
_BAD = frozenset({"failed", "canceled"})
_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Chroot:
    """The state of the build in one chroot; ``results`` is the URL of its logs, once it has one."""

    state: str
    results: str | None

    @property
    def log(self) -> str | None:
        """Return the URL of the log; frontend's models.py, _compressed_log_variant."""
        return self.results and f"{self.results.rstrip('/')}/builder-live.log.gz"


def build_page(client: Client, build: int) -> str:
    """Return the URL of a build's page."""
    return f"{client.config['copr_url']}/coprs/build/{build}"


def follow(client: Client, build: int, *, interval: float) -> None:
    """Poll every ``interval`` seconds and show changes until all builds have ended.

    Raises BuildError with the URLs of the logs if a build failed, and PublishError if COPR cannot
    be reached several times in a row.
    """
    page = build_page(client, build)
    with log.states(f"build {build}") as show:
        while True:
            state, chroots = _patiently(client, build, interval)
            show({name: chroot.state for name, chroot in chroots.items()} or {"source": state})
            if state in _GOOD | _BAD:
                break
            time.sleep(interval)
    failed = {name: chroot for name, chroot in chroots.items() if chroot.state in _BAD}
    if failed or state in _BAD:
        message, logs = _report(build, state, len(chroots), failed)
        raise BuildError(message, details=logs, hint=page)


def _look(client: Client, build: int) -> tuple[str, dict[str, Chroot]]:
    state = client.build_proxy.get(build).state
    found = client.build_chroot_proxy.get_list(build)
    chroots = {item["name"]: Chroot(item["state"], item["result_url"]) for item in found}
    return str(state), dict(sorted(chroots.items()))


def _patiently(client: Client, build: int, interval: float) -> tuple[str, dict[str, Chroot]]:
    """Poll once, and retry after a dropped connection: the builds continue without us."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with session.asking(f"follow build {build}", client.config["copr_url"]):
                return _look(client, build)
        except PublishError as error:
            if attempt == _ATTEMPTS or not session.transient(error.__cause__):
                raise
            log.warn(f"{error.message}; trying again in {interval:g} s")
            time.sleep(interval)
    raise AssertionError("not reached: the last attempt returns or raises")


def _report(
    build: int, state: str, total: int, failed: Mapping[str, Chroot]
) -> tuple[str, list[str]]:
    """Return the message about a failed build, and a line for each chroot that failed."""
    if not failed:  # the build of the source package failed, before any chroot started
        return f"cannot build at COPR: build {build}: expected it to succeed, got: {state}", []
    logs = [f"{name}: {chroot.state}: {chroot.log or 'no log'}" for name, chroot in failed.items()]
    message = (
        f"cannot build at COPR: build {build}: expected {total} builds, got {len(failed)} failed"
    )
    return message, logs
