"""Options that every command has."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Write the result as JSON to stdout, without progress.")]
Prefix = Annotated[str | None, typer.Option(help="Another deployment than outputs.prefix in the topologies names.")]
