"""A Fedora Atomic host on its own disk, booted in QEMU."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from nix_aurora.errors import ToolError
from tests.harness.agent import NAME, Agent, NoAnswerError
from tests.harness.bls import Boot, default_boot
from tests.harness.channel import Channel
from tests.harness.commands import Result
from tests.harness.namespace import Namespace
from tests.harness.ostree import copy_disk
from tests.harness.processes import children
from tests.harness.system import TIMEOUT, System

# QEMU's reasons for its exit.
REBOOT = "guest-reset"
POWEROFF = "guest-shutdown"
# The board has few devices, since udev takes a while for each.
_BOARD = "q35,hpet=off,i8042=off,sata=off,smbus=off,vmport=off"
# The processor is emulated unless the variable says that KVM works: guests may hang although
# /dev/kvm exists.
_KVM = bool(os.environ.get("NIX_AURORA_KVM"))
# An emulated boot takes 20 percent less processor time with a plain processor than with all
# features that QEMU can emulate, and another 16 percent less with one processor than with two.
_PROCESSOR = (
    *("-accel", "kvm" if _KVM else "tcg", "-cpu", "max" if _KVM else "qemu64"),
    *("-smp", "2" if _KVM else "1"),
)
_HARDWARE = (
    *_PROCESSOR,
    *("-machine", _BOARD),
    *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
    *("-device", "virtio-rng-pci"),
)
# A panic causes a reset, and a reset ends QEMU. Before that, the kernel prints what every processor
# is doing and what is blocked. The kernel prints the same for an NMI, which the harness sends for
# this report. Features that no test needs are disabled, since they cost time. Time limits are
# raised, since the defaults are meant for real processors. The timer that cleans up a quarter of an
# hour after the boot is disabled, too; few guests run that long. A boot takes a tenth less of the
# processor's time if udev starts only one process.
_ARGUMENTS = (
    *("panic=-1", "loglevel=4", "mitigations=off", "lsm=capability", "8250.nr_uarts=1"),
    *("tsc=reliable", "systemd.show_status=1", "systemd.default_timeout_start_sec=300"),
    *("systemd.default_device_timeout_sec=300", "unknown_nmi_panic", "panic_print=0xc0"),
    *("systemd.mask=systemd-tmpfiles-clean.timer", "udev.children_max=1"),
)
# Port 22 of the loopback in QEMU's network namespace leads to the guest's port 22; all other
# traffic is blocked.
_NETWORK = (
    *("-netdev", "user,id=network,restrict=on,hostfwd=tcp:127.0.0.1:22-:22"),
    *("-device", "virtio-net-pci,netdev=network"),
)
_PATIENCE = 60.0  # seconds, for a guest that is busy or has stopped


class Machine(System):
    """A host that boots from a copy, in the directory ``state``, of the image ``disk``.

    The copy is created if it is missing, and outlives boots and the object. The harness acts as the
    boot loader and passes kernel and command line of ostree's default entry to QEMU. ``disks`` are
    further images, /dev/disk/by-id/virtio-disk1 and so on, used without a copy; ``boot`` is an
    image with /boot, if the disk has none. ``memory`` is in MiB. The host has no network; with
    ``network`` it has a network of its own, on which only this machine reaches it, on port 22.
    """

    def __init__(
        self,
        disk: Path,
        state: Path,
        *,
        memory: int = 2048,
        disks: Sequence[Path] = (),
        boot: Path | None = None,
        network: bool = False,
    ) -> None:
        super().__init__(state / "console.log")
        self.disk = state / "disk.img"
        """The machine's own disk; do not write to it while the machine is on."""
        self._origin = disk
        self._path = state
        self._memory = memory
        self._network = _NETWORK if network else ()
        self._disks = [self.disk, *disks, *([boot] if boot else [])]
        self._boot_disk = boot or self.disk
        self._namespace: Namespace | None = None
        self._qemu: subprocess.Popen[bytes] | None = None
        self._monitor: Channel | None = None
        self._agent: Agent | None = None
        self._channels: list[Channel] = []

    # --- life

    def open(self) -> None:
        """Copy the disk unless a copy exists; the machine stays off."""
        self._path.mkdir(parents=True, exist_ok=True)
        if not self.disk.exists():
            part = self.disk.with_suffix(".part")
            copy_disk(self._origin, part)
            part.replace(self.disk)
        self._namespace = Namespace(network=False)

    def boot(self, *, arguments: str = "", wait: bool = True, timeout: float = TIMEOUT) -> float:
        """Boot the disk's default entry; return the seconds that this took.

        ``arguments`` are added to the kernel's, for this boot. Returns as soon as scripts can run
        or, with ``wait``, when wait_until_up() does.
        """
        if self._qemu is not None:
            raise RuntimeError("the machine is on")
        start = time.monotonic()
        boot = default_boot(self._boot_disk, self._path)
        self._come_up(self._command(boot, arguments), timeout)
        if wait:
            try:
                self.wait_until_up(timeout=timeout)
            except BaseException:
                self.kill()
                raise
        return time.monotonic() - start

    def reboot(self, *, arguments: str = "", wait: bool = True, timeout: float = TIMEOUT) -> float:
        """Shut the guest down and boot the new default entry; see boot()."""
        self._ready.start(["systemctl", "reboot"])
        self.wait_for_exit(REBOOT, timeout=timeout)
        return self.boot(arguments=arguments, wait=wait, timeout=timeout)

    def soft_reboot(self, *, timeout: float = TIMEOUT) -> None:
        """Let systemd restart the user space under the same kernel."""
        # With another root directory, systemd's own count starts at zero again, so the time of the
        # start is compared.
        shown = "--property=ActiveEnterTimestampMonotonic"
        moment = ("/usr/bin/systemctl", "show", shown, "--value", "basic.target")
        before = self._ready.execute(moment, timeout=timeout).stdout
        deadline = time.monotonic() + timeout
        self._ready.start(["systemctl", "soft-reboot"])
        while True:
            self.wait_for_agent(timeout=timeout)
            with suppress(ToolError):  # the agent was stopped before it answered
                if self._ready.execute(moment, timeout=2).stdout != before:
                    break
            if time.monotonic() > deadline:
                raise self.fault("soft-rebooting", "another moment", before)
        self.wait_until_up(timeout=timeout)

    def poweroff(self, *, timeout: float = TIMEOUT) -> None:
        """Shut the guest down."""
        self._ready.start(["systemctl", "poweroff"])
        self.wait_for_exit(POWEROFF, timeout=timeout)

    def wait_for_agent(self, *, timeout: float = TIMEOUT) -> None:
        """Wait until scripts can run; raise ToolError if QEMU exits or the time is over."""
        deadline = time.monotonic() + timeout
        try:
            while not self._ready.answers(1):
                if time.monotonic() > deadline:
                    raise self.fault("booting", "the guest agent to answer", "nothing")
        except (EOFError, OSError) as error:
            raise self.fault("booting", "the guest agent to answer", "the end of QEMU") from error

    def wait_for_exit(self, reason: str, *, timeout: float = TIMEOUT) -> None:
        """Wait until the guest ends by itself; raise ToolError unless the reason is ``reason``."""
        got = "none"
        if self._qemu is not None:
            with suppress(subprocess.TimeoutExpired):  # after a timeout, ``got`` keeps its value
                self._qemu.wait(timeout)
                got = self._end_reason()
        if got != reason:
            raise self.fault("shutting down", reason, got)
        self._switched_off()

    def kill(self) -> None:
        """Cut the power: lose all data that the guest has not written to its disk.

        Written data is kept, even if the guest did not ask for a flush: the write cache of this
        disk survives (``cache=unsafe`` leaves it to this machine's kernel).
        """
        if self._qemu is None:
            return
        # nsenter is the process that we started
        for pid in children(self._qemu.pid) or [self._qemu.pid]:
            with suppress(ProcessLookupError):  # the process may have ended meanwhile
                os.kill(pid, signal.SIGKILL)
        self._qemu.wait()
        self._switched_off()

    def close(self) -> None:
        """Cut the power; the disk stays."""
        if self._namespace is not None:
            try:
                self.kill()
            finally:
                self._namespace.close()
                self._namespace = None

    # --- inside

    @property
    def network(self) -> int:
        """Return the id of a process whose loopback has the guest's port 22."""
        if self._namespace is None:
            raise RuntimeError("the machine is not open")
        return self._namespace.pid

    def _come_up(self, command: list[str], timeout: float) -> None:
        """Start QEMU and wait for the agent."""
        self._start(command)
        try:
            self.wait_for_agent(timeout=timeout)
        except BaseException:
            self.kill()
            raise

    @property
    def _ready(self) -> Agent:
        if self._agent is None:
            raise RuntimeError("the machine is off")
        return self._agent

    def _command(self, boot: Boot, arguments: str) -> list[str]:
        command = ["qemu-system-x86_64", *_HARDWARE, *self._network, "-m", str(self._memory)]
        command += ["-kernel", str(boot.kernel), "-initrd", str(boot.initrd)]
        command += ["-append", " ".join((boot.options, *_ARGUMENTS, arguments))]
        for number, disk in enumerate(self._disks):
            # In QEMU's options, a comma in a file name is doubled.
            file = str(disk).replace(",", ",,")
            command += [
                *("-drive", f"if=none,id=disk{number},file={file},format=raw,cache=unsafe"),
                *("-device", f"virtio-blk-pci,drive=disk{number},serial=disk{number}"),
            ]
        log = str(self.console).replace(",", ",,")
        command += [
            "-chardev",
            f"file,id=console,path={log},append=on",
            "-serial",
            "chardev:console",
        ]
        return command

    def _start(self, command: list[str]) -> None:
        if self._namespace is None:
            raise RuntimeError("the machine is not open")
        ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
        monitor, agent = (end.fileno() for end in theirs)
        command += [
            *("-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "monitor,mode=control"),
            *("-chardev", f"socket,id=agent,fd={agent}", "-device", "virtio-serial-pci"),
            *("-device", f"virtserialport,chardev=agent,name={NAME}"),
        ]
        with self.console.open("ab") as console:
            self._qemu = subprocess.Popen(
                self._namespace.enter(command),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                pass_fds=(monitor, agent),
                start_new_session=True,
            )
        for end in theirs:
            end.close()
        self._channels = [Channel(end) for end in ours]
        self._monitor = self._channels[0]
        self._agent = Agent(self._channels[1])
        with suppress(OSError):  # QEMU did not start; waiting for the agent reports that
            self._monitor.send({"execute": "qmp_capabilities"})

    def _end_reason(self) -> str:
        """Return the reason in QEMU's last events; all of them wait in the socket."""
        reason = "none"
        with suppress(EOFError):
            while self._monitor is not None:
                event = self._monitor.receive(1)
                if event.get("event") == "SHUTDOWN":
                    reason = str(event["data"]["reason"])
        return reason

    def _switched_off(self) -> None:
        for channel in self._channels:
            channel.close()
        self._channels = []
        self._qemu = self._monitor = self._agent = None

    def _execute(
        self,
        command: Sequence[str],
        check: bool,
        timeout: float,
        stdin: IO[bytes] | None,
        name: str,
    ) -> Result:
        agent = self._ready
        try:
            return agent.execute(command, check=check, timeout=timeout, stdin=stdin, name=name)
        except NoAnswerError as error:
            with suppress(EOFError, OSError):  # QEMU has ended
                if agent.answers(_PATIENCE):
                    raise
            raise self._autopsy(str(error)) from error

    def _autopsy(self, problem: str) -> ToolError:
        """Return an error that says what the processors of a stopped guest are doing."""
        if self._monitor is not None:
            with suppress(OSError):
                self._monitor.send({"execute": "inject-nmi"})
        with suppress(ToolError):
            self.wait_for_exit(REBOOT, timeout=_PATIENCE)
        return self.fault(problem, "a guest that answers", "none", lines=200)
