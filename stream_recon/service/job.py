"""One topology as a worker runs it, and the names of what a deployment owns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pyarrow as pa

from stream_recon.engine.normaliser import Normaliser
from stream_recon.engine.pipeline import AUDIT, DEAD_LETTERS, DIGESTS, DISCREPANCIES, Layout, View, normaliser
from stream_recon.engine.progress import Progress
from stream_recon.model.digest import digest_schema
from stream_recon.model.messages import Upstream
from stream_recon.model.plan import FeedPlan
from stream_recon.normalise.decoder import Decoder
from stream_recon.service.letters import LetterShare


@dataclass(frozen=True, slots=True)
class Names:
    """Topics and groups of a deployment (``outputs.prefix``). ``once``: the name of a run that keeps a log of its own."""

    prefix: str
    once: str | None = None

    @property
    def _own(self) -> str:
        return self.prefix if self.once is None else f"{self.prefix}.once-{self.once}"

    @property
    def digests(self) -> str:
        return f"{self._own}.{DIGESTS}"

    @property
    def topologies(self) -> str:
        """The table of the deployment's topologies: the record that opened each one's share of the log."""
        return f"{self._own}.topologies"

    @property
    def opening(self) -> str:
        """The transactional id of whoever opens a topology's share."""
        return f"{self.topologies}.open"

    @property
    def normalise(self) -> str:
        return f"{self._own}.normalise"

    @property
    def reconcile(self) -> str:
        return f"{self._own}.reconcile"

    @property
    def discrepancies(self) -> str:
        return f"{self.prefix}.{DISCREPANCIES}"

    @property
    def audit(self) -> str:
        return f"{self.prefix}.{AUDIT}"

    @property
    def dead_letters(self) -> str:
        return f"{self.prefix}.{DEAD_LETTERS}"

    @property
    def checkpoints(self) -> str:
        """What a signer publishes."""
        return f"{self.prefix}.checkpoints"

    @property
    def signer(self) -> str:
        """The transactional id of whoever signs: there is one at a time."""
        return f"{self.prefix}.sign"

    def output(self, topic: str) -> str:
        """The topic of an event."""
        return f"{self.prefix}.{topic}"

    def transactional_id(self, home: int) -> str:
        """Stays for a digest partition, whoever holds it: so a former owner is fenced."""
        return f"{self.reconcile}-{home}"


@dataclass(frozen=True, slots=True)
class Opened:
    """A topology whose share of the log is open. Can be sent to another process."""

    layout: Layout
    parallelism: int
    generation: int


class Job:
    """One topology in one worker."""

    def __init__(self, opened: Opened, decoder: Callable[[FeedPlan], Decoder]) -> None:
        plan = opened.layout.plan
        self.name = plan.name
        self.layout = opened.layout
        self.parallelism = opened.parallelism
        self.generation = opened.generation
        self.letters = LetterShare(plan.dead_letters_max_share, plan.dead_letters_over)
        self.stopped: str | None = None
        self._decoder = decoder
        self._upstreams = {u for view in opened.layout.views for u, _ in view.partitions}

    def normaliser(self, view: View, progress: Mapping[Upstream, Progress]) -> Normaliser:
        """The normaliser of one of its views."""
        return normaliser(self.layout, view, self._decoder(view.feed), progress, self.parallelism, self.generation)

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """(source view, target view) of each pair."""
        return [(p.source_feed, p.target_feed) for p in self.layout.pairs]

    def counterparts(self, view: str) -> list[str]:
        """The views that one is compared with."""
        return [t if s == view else s for s, t in self.pairs if view in {s, t}]

    def empty_rows(self) -> pa.RecordBatch:
        """A block's rows, without any."""
        return pa.RecordBatch.from_pylist([], schema=digest_schema(0))

    def width(self, view: View, topic: str) -> int:
        """How many partitions a topic had when the share was opened."""
        return sum(u.topic == topic for u, _ in view.partitions)

    def opened_with(self, upstream: Upstream) -> bool:
        """Whether the partition was there when the share was opened."""
        return upstream in self._upstreams
