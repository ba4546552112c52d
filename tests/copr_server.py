"""A server that answers as COPR's frontend does.

The answers are modeled on https://github.com/fedora-copr/copr at 5d37cd838218; "views" below is
frontend/coprs_frontend/coprs/views. Each answer names its source.
"""

import json
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from nix_aurora.publish.project import CHROOTS
from tests.unit.httpserver import Behavior, Handler, Server

BUILD = 2545281
LOGIN, TOKEN = "abcdefghlogin", "secret%token0123456789"
RESULTS = "https://download.copr.fedorainfracloud.org/results/me/nix-aurora"
TWO = ("fedora-44-aarch64", "fedora-44-x86_64")


def answer(code: int, body: object) -> Behavior:
    """Return a behavior that reads a request's body, then answers.

    A client that is still sending would not read the answer.
    """

    def behave(handler: Handler) -> None:
        content = json.dumps(body).encode()
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    return behave


def fault(code: int, message: str) -> Behavior:
    """Return an error as an object with only "error".

    coprs/error_handlers.py, RestXErrorHandler.render.
    """
    return answer(code, {"error": message})


# views/misc.py, _check_api_login: the status is not 403, and the body has more than "error".
BAD_LOGIN = answer(
    401,
    {
        "output": "notok",
        "error": "Login invalid/expired. Please visit https://copr.fedorainfracloud.org/api to get "
        "or renew your API token.",
    },
)
# logic/complex_logic.py, get_copr.
NO_PROJECT = fault(404, "Project me/nix-aurora does not exist.")


def mock_chroots(names: Sequence[str]) -> Behavior:
    """Return chroots with comments.

    views/apiv3_ns/apiv3_mock_chroots.py; tests/test_apiv3/test_mock_chroot.py.
    """
    return answer(200, dict.fromkeys(names, "") | {"epel-9-x86_64": "A short chroot comment"})


def project(chroots: Sequence[str]) -> Behavior:
    """Return a project: views/apiv3_ns/apiv3_projects.py, to_dict."""
    return answer(
        200,
        {
            "id": 1,
            "name": "nix-aurora",
            "ownername": "me",
            "full_name": "me/nix-aurora",
            "homepage": None,
            "contact": None,
            "description": "",
            "instructions": "",
            "devel_mode": False,
            "persistent": False,
            "unlisted_on_hp": False,
            "auto_prune": True,
            "chroot_repos": {name: f"{RESULTS}/{name}/" for name in chroots},
            "additional_repos": [],
            "enable_net": False,
            "bootstrap": "default",
            "isolation": "default",
            "module_hotfixes": False,
            "appstream": False,
            "packit_forge_projects_allowed": [],
            "follow_fedora_branching": True,
            "repo_priority": None,
            "projectname": "nix-aurora",
            "storage": "pulp",
        },
    )


# views/apiv3_ns/apiv3_builds.py, CheckBeforeBuild.post.
SAFE = answer(200, {"message": "It should be safe to submit a build like this"})


def build(state: str, chroots: Sequence[str] = TWO) -> Behavior:
    """Return a build: views/apiv3_ns/apiv3_builds.py, to_dict."""
    return answer(
        200,
        {
            "id": BUILD,
            "state": state,
            "projectname": "nix-aurora",
            "ownername": "me",
            "repo_url": RESULTS,
            "source_package": {"name": "nix-aurora", "version": "3.22.1-1", "url": None},
            "submitted_on": 1795305600,
            "started_on": None,
            "ended_on": None,
            "submitter": "me",
            "chroots": list(chroots),
            "project_dirname": "nix-aurora",
            "is_background": False,
        },
    )


def build_chroots(states: Mapping[str, str]) -> Behavior:
    """Return the chroots of a build: views/apiv3_ns/apiv3_build_chroots.py, to_dict.

    The meta is Paginator's. coprs/models.py, result_dir_url: there is no URL before a builder has
    the chroot, and it ends with a slash.
    """
    items = [
        {
            "name": name,
            "started_on": None,
            "ended_on": None,
            "result_url": None
            if state in {"waiting", "pending"}
            else f"{RESULTS}/{name}/0{BUILD}-nix-aurora/",
            "state": state,
        }
        for name, state in states.items()
    ]
    meta = {"limit": None, "offset": 0, "order": "id", "order_type": "DESC"}
    return answer(200, {"items": items, "meta": meta})


class Copr:
    """A server on which every request succeeds, and a record of the requests."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.bodies: dict[str, list[bytes]] = {}
        who = urlencode({"ownername": "me", "projectname": "nix-aurora"})
        self.paths = {
            "chroots": "/api_3/mock-chroots/list",
            "project": f"/api_3/project?{who}",
            "add": "/api_3/project/add/me?ownername=me&exist_ok=False",
            "edit": f"/api_3/project/edit/me/nix-aurora?{who}",
            "check": "/api_3/build/check-before-build",
            "upload": "/api_3/build/create/upload",
            "build": f"/api_3/build/{BUILD}",
            "states": f"/api_3/build-chroot/list?build_id={BUILD}",
        }
        every = [*CHROOTS, "fedora-42-x86_64"]
        self.serve("chroots", mock_chroots(every))
        self.serve("project", project(CHROOTS))
        self.serve("add", project(CHROOTS))
        self.serve("edit", project(CHROOTS))
        self.serve("check", SAFE)
        self.serve("upload", build("pending"))
        self.serve("build", build("running"), build("succeeded"))
        self.serve(
            "states",
            build_chroots({"fedora-44-x86_64": "running", "fedora-44-aarch64": "pending"}),
            build_chroots({"fedora-44-x86_64": "succeeded", "fedora-44-aarch64": "succeeded"}),
        )

    def serve(self, name: str, *behaviors: Behavior) -> None:
        self.server.serve(self.paths[name], *(self._reading(name, each) for each in behaviors))

    def _reading(self, name: str, behavior: Behavior) -> Behavior:
        def behave(handler: Handler) -> None:
            size = int(handler.headers.get("Content-Length", 0))
            self.bodies.setdefault(name, []).append(handler.rfile.read(size))
            behavior(handler)

        return behave

    def asked(self) -> list[str]:
        names = {path: name for name, path in self.paths.items()}
        return [names[path] for path in self.server.requests]

    def sent(self, name: str) -> dict[str, object]:
        body: dict[str, object] = json.loads(self.bodies[name][0])
        return body

    @property
    def configuration(self) -> str:
        """Return a configuration file as COPR's API page offers it.

        The token is not encrypted, since it stays in this process.
        python/copr/test/resources/copr_cli.conf.
        """
        return (
            f"[copr-cli]\nlogin = {LOGIN}\nusername = me\ntoken = {TOKEN.replace('%', '%%')}\n"
            f"copr_url = {self.server.url('')}\nencrypted = false\n"
            "# expiration date: 2027-02-07\n"
        )

    @property
    def page(self) -> str:
        return self.server.url(f"/coprs/build/{BUILD}")
