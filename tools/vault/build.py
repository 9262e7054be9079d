"""Builds the server of ``main.go`` from Vault's own modules into ``.broker/vault``; the first time takes long.

Vault names its nested modules by directories that its archive does not hold: they are put in from their own archives. Sums are
those of Vault's ``go.sum``, and for nested modules those of Go's checksum database.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

VAULT: Final = "github.com/hashicorp/vault"
VERSION: Final = "v1.21.3"
"""The newest whose archive fits a published version of its nested modules."""

PINS: Final = "v1.21.4"
"""Modules of others are those of this one: newer fixes."""

NESTED: Final = {
    "api": "v1.22.0",
    "api/auth/approle": "v0.10.0",
    "api/auth/kubernetes": "v0.12.0",
    "api/auth/userpass": "v0.12.0",
    "sdk": "v0.20.0",
}
PLACE: Final = Path(__file__).parents[2] / ".broker" / "vault"
PROGRAM: Final = PLACE / f"vault-{VERSION}"


def built() -> Path:
    """The program.

    Raises:
        SystemExit: there is no Go, a module cannot be had, or it does not build.
    """
    if PROGRAM.exists():
        return PROGRAM
    if shutil.which("go") is None:
        raise SystemExit("Vault is built with Go 1.25.3 or newer, and there is no go on the path")
    source = PLACE / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(
        _module(VAULT, VERSION), source, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("ui", "website")
    )
    for path in (source, *(p for p in source.rglob("*") if p.is_dir())):
        path.chmod(0o755)  # the module cache is read-only
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(_module(VAULT, PINS) / name, source / name)
    (source / "recon").mkdir()
    shutil.copyfile(Path(__file__).with_name("main.go"), source / "recon" / "main.go")
    for name, version in NESTED.items():
        _go(source, "mod", "edit", "-replace", f"{VAULT}/{name}={_module(f'{VAULT}/{name}', version)}")
    unoptimised = ["-gcflags=all=-N -l", "-ldflags=-s -w"]  # it is for tests, and compiles sooner
    _go(source, "build", "-mod=mod", "-trimpath", *unoptimised, "-o", str(PROGRAM), "./recon")
    return PROGRAM


def _module(path: str, version: str) -> Path:
    return Path(json.loads(_go(Path("/"), "mod", "download", "-json", f"{path}@{version}"))["Dir"])


def _go(place: Path, *words: str) -> str:
    done = subprocess.run(
        ["go", *words], cwd=place, env=os.environ | {"CGO_ENABLED": "0"}, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"go {' '.join(words)}: {done.stdout}")
    return done.stdout


if __name__ == "__main__":
    sys.stdout.write(f"{built()}\n")
