"""Read the architecture of an executable from its ELF header.

Format: the System V ABI, "ELF Header"; e_machine by the psABIs of x86-64 and AArch64.
"""

from pathlib import Path

_MAGIC = b"\x7fELF"
_CLASS_64 = 2  # e_ident[EI_CLASS]
_LITTLE_ENDIAN = 1  # e_ident[EI_DATA]
_MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine, 16 bits at offset 18


def architecture(path: Path) -> str | None:
    """Return ``x86_64`` or ``aarch64``, None if the file is not ELF.

    Raises ValueError (``expected X, got Y``) for another kind of ELF.
    """
    with path.open("rb") as file:
        header = file.read(20)
    if not header.startswith(_MAGIC):
        return None
    if len(header) < 20:
        raise ValueError(f"expected an ELF header, got {len(header)} bytes of one")
    if header[4] != _CLASS_64:
        raise ValueError(f"expected a 64-bit ELF file, got class {header[4]}")
    if header[5] != _LITTLE_ENDIAN:
        raise ValueError(f"expected a little-endian ELF file, got encoding {header[5]}")
    machine = int.from_bytes(header[18:20], "little")
    if machine not in _MACHINES:
        raise ValueError(f"expected an ELF file for x86_64 or aarch64, got machine {machine}")
    return _MACHINES[machine]
