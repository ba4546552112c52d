"""A Fedora Atomic host, booted in systemd-nspawn from overlay layers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.harness.container import Container
from tests.harness.namespace import Namespace
from tests.harness.state import HostState
from tests.harness.system import TIMEOUT
from tests.harness.tree import Tree


class Host(Container):
    """A host that runs ``tree``, with its /etc and /var in the directory ``state``.

    The root is read-only, /etc is an overlay, and /var is a directory or, with ``var_size`` in
    bytes, a file system of that size; both outlive boots and the object. ``users`` are created
    before the first boot, with ids from 1000 on and homes in /var/home; the first one is in
    ``wheel``. ``binds`` maps directories of this machine to their places in the guest, read-only,
    and ``flags`` are for nspawn. The network is a loopback. In a ``with`` block the host boots, and
    is killed at the end.

    With ``ordinary`` the host boots no image: its root is writable, and kept like /var. With
    ``bootc`` it is like a host that bootc installs without ostree: the mount source of / is
    composefs:DIGEST, /etc and /var are directories of one file system, and /run/ostree-booted does
    not exist.
    """

    def __init__(
        self,
        tree: Tree,
        state: Path,
        *,
        users: Sequence[str] = ("tester", "other"),
        var_size: int | None = None,
        binds: Mapping[Path, str] | None = None,
        flags: Sequence[str] = (),
        ordinary: bool = False,
        bootc: bool = False,
    ) -> None:
        super().__init__(state)
        self.tree = tree
        self._users = list(users)
        self._binds = dict(binds or {})
        self._flags = list(flags)
        self._ordinary = ordinary
        self._bootc = bootc
        self._var_size = var_size
        self._state: HostState | None = None

    def open(self) -> None:
        """Prepare the state and the namespaces; the host stays off."""
        state = HostState(
            self._path,
            self._cgroup,
            self._var_size,
            keep_root=self._ordinary,
            bootc=self._bootc,
        )
        self._state = state
        if self._state.is_new and self._users:
            try:
                self._state.mount(self.tree)
                self._state.add_users(self._users)
                self._state.unmount()
            except BaseException:
                self.close()
                raise

    def boot(
        self, tree: Tree | None = None, *, wait: bool = True, timeout: float = TIMEOUT
    ) -> float:
        """Start the host, with another ``tree`` if passed; return the seconds that this took.

        Returns as soon as scripts can run or, with ``wait``, when wait_until_up() does.
        """
        self._require_off()
        self.tree = tree or self.tree
        self._ready.mount(self.tree)
        return self._start(self._words(), wait=wait, timeout=timeout)

    def reboot(self, tree: Tree | None = None, *, timeout: float = TIMEOUT) -> float:
        """Shut the guest down and start it again, with another ``tree`` if one is passed."""
        self._shut_down_for_reboot(timeout)
        return self.boot(tree, timeout=timeout)

    def close(self) -> None:
        """Kill the guest; its state stays."""
        if self._state is not None:
            try:
                self.kill()
            finally:
                self._state.close()
                self._state = None

    # --- inside

    @property
    def _ready(self) -> HostState:
        if self._state is None:
            raise RuntimeError("the host is not open")
        return self._state

    @property
    def _namespace(self) -> Namespace:
        return self._ready.namespace

    def _words(self) -> list[str]:
        state = self._ready
        binds = [f"--bind-ro={source}:{target}" for source, target in self._binds.items()]
        words = [
            *("--boot", f"--directory={state.root}"),
            *(f"--bind={state.etc}:/etc", f"--bind={state.var}:/var", *binds, *self._flags),
        ]
        if not self._ordinary:
            words.append("--read-only")
        if not self._ordinary and not self._bootc:
            words.append(f"--bind-ro={state.ostree_booted}:/run/ostree-booted")
        return words

    def _switched_off(self) -> None:
        self._ready.unmount()
