"""The only place where adapters meet the engine."""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import orjson

from stream_recon.adapters.embedded import EmbeddedLog
from stream_recon.adapters.recordings import PartitionRecording, fingerprint, read_recordings
from stream_recon.adapters.rocks import RocksStore
from stream_recon.cli.schemas import book_of
from stream_recon.config.identity import configuration_hash, rules_id
from stream_recon.config.resolve import resolve_feeds, unused_settings
from stream_recon.engine.pipeline import AUDIT, DEAD_LETTERS, DIGESTS, DISCREPANCIES, Layout, Pipeline
from stream_recon.engine.replay import Recorded, bodies, run, summarise
from stream_recon.engine.summary import Summary
from stream_recon.errors import ConfigError, StateError, Undelivered
from stream_recon.limits import BLOCK_ROWS, FEW_MESSAGES
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import FeedPlan, SidePlan, TopologyPlan
from stream_recon.normalise.columnar import ColumnarDecoder
from stream_recon.normalise.decoder import Decoder
from stream_recon.normalise.discover import discover
from stream_recon.normalise.fitting import Wires, joined, misfits, seen
from stream_recon.normalise.reference import ReferenceDecoder
from stream_recon.ports import Log

Report = Callable[[str, int, int], None]


def decoder(feed: FeedPlan) -> Decoder:
    """The decoder that a feed gets."""
    book = book_of(feed)
    return ColumnarDecoder(feed, ReferenceDecoder(feed, book), book, few=FEW_MESSAGES)


def replay(
    plan: TopologyPlan,
    recordings: Mapping[str, Sequence[Path]],
    out: Path,
    *,
    state: Path | None,
    digest_partitions: int,
    batch_rows: int = BLOCK_ROWS,
    progress: Report,
) -> Summary:
    """Replays recordings and writes ``discrepancies.jsonl``, ``audit.jsonl``, ``dead_letters.jsonl`` and ``summary.json``.

    Raises:
        ReconError: what the operator can do something about.
    """
    _writable(out)
    read = read_recordings(plan.sides, recordings, progress)
    layout, warnings = resolve(plan, read)
    recorded = {u: Recorded(r.messages, r.repeated_at) for u, r in read.items()}
    made_from = None if state is None else fingerprint(read)
    with opened(layout, state or out, digest_partitions, keep=state is not None, made_from=made_from) as pipeline:
        run(pipeline, recorded, batch_rows * pipeline.parallelism, progress)
        summary = summarise(pipeline, warnings)
        deliver(out, pipeline.log, summary)
    return summary


def deliver(out: Path, log: Log, summary: Summary) -> None:
    """Writes what was found: the output topics as JSON lines, then the summary.

    Raises:
        Undelivered: it could not be written.
    """
    for name, topic in (("discrepancies", DISCREPANCIES), ("audit", AUDIT), ("dead_letters", DEAD_LETTERS)):
        write(out / f"{name}.jsonl", (body + b"\n" for body in bodies(log, topic)))
    write(out / "summary.json", [orjson.dumps(summary.to_json(), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)])


def resolve(plan: TopologyPlan, read: Mapping[Upstream, PartitionRecording]) -> tuple[Layout, list[str]]:
    """The columns that the recordings hold make the feeds; warnings say what looks unintended.

    Raises:
        ConfigError: the columns do not fit the topology.
    """
    columns = {side.name: _columns(side, read) for side in plan.sides}
    targets = {t.name: columns[t.name] for t in plan.targets}
    feeds = resolve_feeds(plan, columns[plan.source.name], targets)
    wires = {s.name: joined(seen(r.messages.value, book_of(s)) for u, r in read.items() if u.side == s.name) for s in plan.sides}
    check_fit(plan, feeds, wires)
    warnings = [*unused_settings(plan, columns[plan.source.name], targets), *_conflicts(read)]
    starts = {u: int(r.messages.offset[0]) for u, r in read.items()}
    return Layout.make(plan, feeds, [rules_id(pair) for pair in feeds], configuration_hash(plan), starts, columns), warnings


def check_fit(plan: TopologyPlan, feeds: Sequence[tuple[FeedPlan, FeedPlan]], wires: Mapping[str, Wires]) -> None:
    """Refuses columns that can never be equal, by what the schemas of each side (``wires``) say of them.

    Raises:
        ConfigError: a line for each, with what to declare.
    """
    found = dict.fromkeys(problem for source, target in feeds for problem in misfits(source, target, wires))
    if found:
        raise ConfigError("\n".join(f"{plan.name}: {problem}" for problem in found))


def _columns(side: SidePlan, read: Mapping[Upstream, PartitionRecording]) -> frozenset[str] | None:
    names = [
        discover(side.format, r.messages.value, book_of(side), table=side.table) for u, r in read.items() if u.side == side.name
    ]
    return frozenset[str]().union(*names) or None


def _conflicts(read: Mapping[Upstream, PartitionRecording]) -> Iterator[str]:
    for upstream, recording in read.items():
        if recording.conflicting:
            first, more = recording.conflicting[0], len(recording.conflicting) - 1
            yield (
                f"{upstream.topic}/{upstream.partition} of side {upstream.side} has two different messages at offset {first}"
                f"{f' (and at {more} more)' if more else ''}: the first in the file counts; check how it was recorded"
            )


@contextmanager
def opened(
    layout: Layout, place: Path, digest_partitions: int, *, keep: bool, made_from: str | None = None
) -> Iterator[Pipeline]:
    """A pipeline on the embedded log in ``place``; without ``keep`` in a directory of its own there that goes when it is done.
    ``made_from``: the fingerprint of the recordings that it answers for.
    """
    if not keep:
        try:
            place = Path(tempfile.mkdtemp(prefix=".state-", dir=place))
        except OSError as error:
            raise StateError(
                f"state: cannot use {place}: {error.strerror}; give a directory that this user can write to"
            ) from error
    log = None
    stores: list[RocksStore] = []
    try:
        log = EmbeddedLog(place / "log.sqlite")
        if made_from is not None:
            _keep_to(place / "recordings.sha256", made_from, is_new=not log.read(DIGESTS, 0, 0, 1))
        for home in range(layout.plan.parallelism or digest_partitions):
            stores.append(RocksStore(place / f"state-{home}"))  # noqa: PERF401 - those opened before one fails are closed
        yield Pipeline(layout, log, stores, decoder)
    finally:
        for store in stores:
            store.close()
        if log is not None:
            log.close()
        if not keep:
            shutil.rmtree(place, ignore_errors=True)


def _keep_to(path: Path, made_from: str, *, is_new: bool) -> None:
    """A state answers for the recordings that it was made from, and for no others: what was read once is never read again."""
    try:
        if is_new:
            path.write_text(made_from, encoding="ascii")
        elif not path.exists() or path.read_text(encoding="ascii") != made_from:
            raise StateError(f"state: {path.parent} was made from other recordings; give an empty state directory")
    except OSError as error:
        raise StateError(f"state: cannot use {path}: {error.strerror}; give a directory that this user can write to") from error


def _writable(out: Path) -> None:
    """Makes the directory, and takes away what an earlier run left: nobody shall read its verdict for this one's."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name in ("discrepancies.jsonl", "audit.jsonl", "dead_letters.jsonl", "summary.json"):
            (out / name).unlink(missing_ok=True)
        (out / ".probe").write_bytes(b"")
        (out / ".probe").unlink()
    except OSError as error:
        raise Undelivered(
            f"--out {out}: cannot be written: {error.strerror}; give a directory that this user can write to"
        ) from error


def write(path: Path, lines: Iterable[bytes]) -> None:
    """Writes one file of results; raises ``Undelivered``."""
    try:
        with path.open("wb") as file:
            file.writelines(lines)
    except OSError as error:
        what = "no space left" if error.errno == errno.ENOSPC else error.strerror
        raise Undelivered(
            f"{path}: could not be written: {what}; free some space or give another --out, then run it again"
        ) from error
