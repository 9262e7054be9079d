"""The commands ``audit``, ``keys``, ``gate`` and ``ledger``: what they are called and what they take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_recon.cli.options import Json, Prefix
from stream_recon.limits import CHECKPOINT_ENTRIES

Bundle = Annotated[Path, typer.Option(metavar="BUNDLE", help="The directory of the log; made if missing, else added to.")]
Key = Annotated[
    str,
    typer.Option(
        metavar="FILE|REFERENCE",
        help="The root key: a file from stream-recon keys new, 'hashivault://KEY?name=NAME' or 'awskms:///KEY?name=NAME'.",
    ),
]

CopyTo = Annotated[
    str | None,
    typer.Option(
        metavar="LOCATION", help="Copy the bundle there after each checkpoint: s3://BUCKET/PATH, gs://BUCKET/PATH, a directory."
    ),
]
Witnesses = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="Ask the witnesses of this policy (those with a URL) to cosign, too."),
]

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
    policy: Witnesses = None,
    copy_to: CopyTo = None,
    prefix: Prefix = None,
    as_json: Json = False,
) -> None:
    """Sign certificates into a bundle that anybody can check, and end it with a checkpoint."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.export(where, bundle, key, prefix, policy, copy_to, as_json=as_json))


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
    policy: Witnesses = None,
    copy_to: CopyTo = None,
    prefix: Prefix = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a checkpoint on stdout.")] = False,
) -> None:
    """Sign what the service says while it runs, until stopped; publish checkpoints to the topic PREFIX.checkpoints."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.sign(topologies, bundle, key, prefix, (every_events, every), policy, copy_to, as_json=as_json))


@audit.command()
def fetch(
    location: Annotated[str, typer.Argument(metavar="LOCATION", help="Where --copy-to keeps a bundle.")],
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="The directory to bring it to; only what is new comes.")],
    to_sign: Annotated[
        bool,
        typer.Option(
            "--to-sign", help="For audit sign to go on, where its machine was lost: with what is under no checkpoint yet."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring a bundle from a bucket, to check it there or to go on signing where its machine was lost."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.fetch(location, bundle, ahead=to_sign, as_json=as_json))


@audit.command()
def witness(
    key: Annotated[Path, typer.Option(metavar="FILE", help="The witness's key, from stream-recon keys new; never a log's.")],
    log: Annotated[
        list[str], typer.Option(metavar="VKEY", help="A log whose checkpoints are cosigned, by its key; repeat for more.")
    ],
    listen: Annotated[str, typer.Option(metavar="HOST:PORT", help="Where it is asked: http://HOST:PORT/add-checkpoint.")],
    state: Annotated[Path, typer.Option(metavar="DIR", help="What it remembers; lost, the key must not be used again.")],
) -> None:
    """Cosign checkpoints of logs that only grow (c2sp.org/tlog-witness), until stopped. Run it where the signer has no say."""
    from stream_recon.cli import witnessing

    raise typer.Exit(witnessing.witness(key, log, listen, state))


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


@audit.command()
def rederive(
    topology: Annotated[Path, typer.Argument(metavar="TOPOLOGY")],
    audited: Annotated[
        Path, typer.Option("--audit", metavar="DIR|BUNDLE", help="The certificates: what a run left, or a bundle.")
    ],
    side: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A recording of one side, as for replay; repeat for more. Default: the topics."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For a BUNDLE: whose checkpoints are believed. It is verified first.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", metavar="T1", help="Windows from here on; default: all.")] = None,
    end: Annotated[str | None, typer.Option("--to", metavar="T2", help="Windows that begin before this; default: all.")] = None,
    digest_partitions: Annotated[
        int | None, typer.Option(min=1, max=4096, help="How many the audited run had, where its summary does not say.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Read topics again, and show that the same certificates come out. Exit code 1: one differs; 2: one cannot be derived."""
    from stream_recon.cli import rederiving

    asked = rederiving.Asked(audited, policy, start, end, digest_partitions)
    raise typer.Exit(rederiving.rederive(topology, side or [], asked, as_json=as_json))


@keys.command("new")
def new_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The log's name, like example.com/recon.")],
    out: Annotated[
        str,
        typer.Option(
            metavar="FILE|REFERENCE", help="A file that only its owner may read, or hashivault://[MOUNT/]KEY: Vault makes it."
        ),
    ],
    as_json: Json = False,
) -> None:
    """Make a root key, and print the policy that auditors need."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.make_key(name, out, as_json=as_json))


@keys.command("show")
def show_key(
    key: Annotated[str, typer.Argument(metavar="FILE|REFERENCE")],
    as_witness: Annotated[bool, typer.Option("--witness", help="Of a witness's key: its line in a policy.")] = False,
    as_json: Json = False,
) -> None:
    """Print the policy that belongs to a root key; never the key."""
    from stream_recon.cli import proving

    raise typer.Exit(proving.show_key(key, as_witness=as_witness, as_json=as_json))


def gate(
    where: Annotated[
        list[Path],
        typer.Argument(metavar="DIR|BUNDLE|TOPOLOGY...", help="What replay left, a bundle, or the topologies of a deployment."),
    ],
    start: Annotated[str, typer.Option("--from", metavar="T1", help="The range begins here: RFC 3339 with a zone.")],
    end: Annotated[str, typer.Option("--to", metavar="T2", help="It ends before this. Windows that it touches count whole.")],
    topology: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Of a DIR or BUNDLE only this one; repeat for more.")
    ] = None,
    chain: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A chain that must be there; repeat for more.")] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="For a BUNDLE: whose checkpoints are believed. It is verified first.")
    ] = None,
    kept: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="For a BUNDLE: checkpoints from before that it must go on from.")
    ] = None,
    wait: Annotated[
        str | None, typer.Option(metavar="TIME", help="For TOPOLOGY: wait so long, like 10m, until all is certified.")
    ] = None,
    prefix: Annotated[str | None, typer.Option(help="For TOPOLOGY: another deployment than outputs.prefix names.")] = None,
    as_json: Json = False,
) -> None:
    """Let pass or not: exit code 0 only if all windows of all pairs in [T1, T2) are certified and clean, and nothing is open.

    1: data differ. 2: something is inconclusive, or not certified. 3: it could not be looked at, or a bundle does not hold.
    """
    from stream_recon.cli import gating

    proof = gating.Proof(policy, tuple(kept or ()))
    asked = gating.Asked(start, end, tuple(topology or ()), tuple(chain or ()), proof, wait, prefix)
    raise typer.Exit(gating.gate(where, asked, as_json=as_json))


def ledger(
    where: Annotated[
        list[Path], typer.Argument(metavar="DIR|TOPOLOGY...", help="What a run left, or the topologies of a deployment.")
    ],
    prefix: Annotated[str | None, typer.Option(help="For TOPOLOGY: another deployment than outputs.prefix names.")] = None,
    as_json: Json = False,
) -> None:
    """Show the receipts of each upstream partition, stage by stage, and whether they balance. It reads the whole digest log.

    Exit code 1: something does not balance; 2: positions were lost, or a topology is not open.
    """
    from stream_recon.cli import ledgering

    raise typer.Exit(ledgering.ledger(where, prefix, as_json=as_json))
