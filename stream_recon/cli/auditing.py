"""The commands ``audit`` and ``keys``: what they are called and what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_recon.cli.options import Json, Prefix
from stream_recon.limits import CHECKPOINT_ENTRIES

Bundle = Annotated[Path, typer.Option(metavar="BUNDLE", help="The directory of the log; made if missing, else added to.")]
Key = Annotated[Path, typer.Option(metavar="FILE", help="The root key, from stream-recon keys new.")]

audit = typer.Typer(help="Prove what was certified: make bundles for auditors, and check them offline.", rich_markup_mode=None)
keys = typer.Typer(help="The root key under which audit events are signed.", rich_markup_mode=None)


@audit.command()
def export(
    where: Annotated[
        list[Path],
        typer.Argument(
            metavar="DIR|TOPOLOGY...", help="What replay --out, or run --once --out, left; or the topologies of a deployment."
        ),
    ],
    bundle: Bundle,
    key: Key,
    prefix: Prefix = None,
    as_json: Json = False,
) -> None:
    """Sign certificates into a bundle that anybody can check, and end it with a checkpoint."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.export(where, bundle, key, prefix, as_json=as_json))


@audit.command()
def sign(
    topologies: Annotated[list[Path], typer.Argument(metavar="TOPOLOGY...")],
    bundle: Bundle,
    key: Key,
    every: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="A checkpoint after so many seconds, also when nothing is new.")
    ] = 60.0,
    every_events: Annotated[
        int, typer.Option(min=1, metavar="N", help="A checkpoint after so many entries, too.")
    ] = CHECKPOINT_ENTRIES,
    prefix: Prefix = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a checkpoint on stdout.")] = False,
) -> None:
    """Sign what the service says while it runs, until stopped; publish checkpoints to the topic PREFIX.checkpoints."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.sign(topologies, bundle, key, prefix, (every_events, every), as_json=as_json))


@audit.command()
def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE")],
    policy: Annotated[Path, typer.Option(metavar="FILE", help="Whose checkpoints are believed (c2sp.org/tlog-policy).")],
    kept: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="Checkpoints from before: the log must go on from them.")
    ] = None,
    chain: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A chain that must be there; repeat for more.")] = None,
    as_json: Json = False,
) -> None:
    """Check a bundle, without a broker, a network or a key. Exit code 1: the proof does not hold."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.verify(bundle, policy, kept or [], chain or [], as_json=as_json))


@keys.command("new")
def new_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The log's name, like example.com/recon.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the key is written; only its owner may read it.")],
    as_json: Json = False,
) -> None:
    """Make a root key, and print the policy that auditors need."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.make_key(name, out, as_json=as_json))


@keys.command("show")
def show_key(key: Annotated[Path, typer.Argument(metavar="FILE")], as_json: Json = False) -> None:
    """Print the policy that belongs to a root key; never the key."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.show_key(key, as_json=as_json))
