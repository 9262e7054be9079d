"""Options that several commands have."""

from __future__ import annotations

from typing import Annotated

import typer

from stream_recon.config.scalars import parse_size
from stream_recon.errors import ConfigError
from stream_recon.limits import LEAST_MEMORY_BYTES

Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON to stdout, without progress.")]
Prefix = Annotated[str | None, typer.Option(help="Another deployment than outputs.prefix in the topologies names.")]
Memory = Annotated[
    str,
    typer.Option(metavar="SIZE", help="What each worker may hold of what it reads; its program comes on top (100 to 300 MB)."),
]


def memory_bytes(size: str) -> int:
    """``512MiB`` -> octets. Raises ``ConfigError``."""
    try:
        octets = parse_size(size)
    except ValueError as error:
        raise ConfigError(f"--memory: {error}") from error
    if octets < LEAST_MEMORY_BYTES:
        raise ConfigError(f"--memory {size}: expected {LEAST_MEMORY_BYTES // 1024**2}MiB or more")
    return octets
