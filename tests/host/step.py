#!/usr/bin/python3 -I
"""Run the import, with an action before one of its steps: step.py STEP ACTION.

STEP is a function of the import: MODULE.NAME, or MODULE.NAME:N for its call number N (from 0).
ACTION is a bash script; the import's process is its $PPID. This lets a test name a function of the
import, independently of the text of its source.
"""

import importlib
import itertools
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "/usr/lib/nix-aurora")

PACKAGE = "nix_aurora_host.importer"


def hook(step: str, action: str) -> None:
    """Run ``action`` before a step."""
    path, _, number = step.partition(":")
    module, name = path.rsplit(".", 1)
    owner = importlib.import_module(f"{PACKAGE}.{module}")
    real, calls = getattr(owner, name), itertools.count()

    def hooked(*words: object, **named: object) -> object:
        if next(calls) == int(number or 0):
            print(f"reached: {step}", flush=True)
            subprocess.run(["bash", "-euc", action], check=False)
        return real(*words, **named)

    setattr(owner, name, hooked)


if __name__ == "__main__":
    hook(*sys.argv[1:])
    sys.exit(importlib.import_module(f"{PACKAGE}.program").main())
