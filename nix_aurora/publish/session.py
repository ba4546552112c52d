"""A session with COPR: read the user's configuration, and translate COPR's errors into ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from copr.v3 import Client, CoprException
from copr.v3.helpers import config_from_file

from nix_aurora.errors import PublishError

_REFUSED = (401, 403)  # authentication failed, or permission was denied


def default_config() -> Path:
    """Return the file that COPR's own client reads."""
    return Path.home() / ".config" / "copr"


def connect(path: Path | None) -> Client:
    """Return a client for the user's configuration; send nothing yet.

    Raises PublishError if there is no file, or no token in it. The content of the file is never
    shown, not even in a traceback: configparser's messages quote the line, and that line may be the
    token's.
    """
    path = path or default_config()
    problem = "the file that COPR's API page gives"
    try:
        config = config_from_file(str(path))
    except (CoprException, KeyError, AttributeError, ValueError):
        got = "another" if path.exists() else "no such file"
    else:
        if config["gssapi"] or (config["login"] and config["token"]):
            return Client(config)
        got = "one without login and token"
    raise PublishError(
        f"cannot publish the packages: {path}: expected {problem}, got {got}",
        hint="save the text that https://copr.fedorainfracloud.org/api/ shows in that file",
    )


def transient(error: BaseException | None) -> bool:
    """Return whether an error may go away by itself."""
    status = _status(error)
    return status is None or status >= 500


@contextmanager
def asking(what: str, url: str) -> Iterator[None]:
    """Turn the errors of a request to COPR at ``url``, made to do ``what``, into PublishError."""
    try:
        yield
    except (CoprException, requests.RequestException) as error:
        raise PublishError(f"cannot {what}: {_problem(error)}", hint=_hint(error, url)) from error


def _status(error: BaseException | None) -> int | None:
    """Return the HTTP status of COPR's answer, None if there was no answer."""
    response = error.result.get("__response__") if isinstance(error, CoprException) else None
    return None if response is None else int(response.status_code)


def _problem(error: Exception) -> str:
    status = _status(error)
    if status is None:
        return f"expected an answer from COPR, got none: {error}"
    return f"COPR answers {status}: {str(error).strip()}"


def _hint(error: Exception, url: str) -> str | None:
    if _status(error) == 401:
        return f"save the text that {url}/api/ shows as {default_config()}"
    if _status(error) in _REFUSED:
        return "ask the project's owner for the permission to build, or name a project of yours"
    return "try again later" if transient(error) else None
