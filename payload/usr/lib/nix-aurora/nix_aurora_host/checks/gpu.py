"""Check the graphics drivers for programs of nixpkgs."""

from collections.abc import Iterator

from nix_aurora_host import paths
from nix_aurora_host.checks import fixes
from nix_aurora_host.checks.fixes import Fix
from nix_aurora_host.checks.kind import Kind, found
from nix_aurora_host.finding import Finding, Severity
from nix_aurora_host.gather.everything import Facts
from nix_aurora_host.gpu.words import Fault, find_faults

GPU_DAMAGED = Kind("gpu-damaged", Severity.WARNING)
GPU_CONFLICT = Kind("gpu-conflict", Severity.WARNING)
GPU_LOST = Kind("gpu-lost", Severity.WARNING)
GPU_UNROOTED = Kind("gpu-unrooted", Severity.WARNING)
GPU_UNLINKED = Kind("gpu-unlinked", Severity.WARNING)
GPU_FOREIGN_LOST = Kind("gpu-foreign-lost", Severity.NOTE)
GPU_NVIDIA = Kind("gpu-nvidia", Severity.NOTE)

_ENABLE = fixes.sudo("nix-aurora", "gpu", "enable")
_DISABLE = fixes.sudo("nix-aurora", "gpu", "disable")


def check_gpu(facts: Facts) -> Iterator[Finding]:
    """Check that enabled drivers are in the store, rooted and linked, and find conflicts."""
    for fault, message in find_faults(facts.basics.gpu):
        match fault:
            case Fault.DAMAGED:
                yield found(GPU_DAMAGED, message, _ENABLE)
            case Fault.CONFLICT:
                yield found(GPU_CONFLICT, message, _DISABLE)
            case Fault.LOST:
                yield found(GPU_LOST, message, _ENABLE)
            case Fault.UNROOTED:
                yield found(GPU_UNROOTED, message, _ENABLE)
            case Fault.UNLINKED:
                yield found(GPU_UNLINKED, message, _link(facts.basics.gpu.target or ""))
            case Fault.FOREIGN_LOST:
                yield found(GPU_FOREIGN_LOST, message, fixes.sudo("rm", paths.GPU_LINK))
            case Fault.NVIDIA:
                yield found(GPU_NVIDIA, message, None)


def _link(target: str) -> Fix:
    return fixes.sudo("ln", "-sfn", target, paths.GPU_LINK)


CHECKS = (check_gpu,)
