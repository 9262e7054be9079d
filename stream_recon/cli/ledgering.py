"""``ledger``: receipts of what a run, or a deployment, read, balanced for each upstream partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from stream_recon.audit.ledger import KINDS, Account, Certified, accounts
from stream_recon.audit.receipts import Receipt
from stream_recon.cli.certificates import summaries
from stream_recon.cli.letters import from_file
from stream_recon.cli.output import EXIT_DIFFERENT, EXIT_FINE, EXIT_INCONCLUSIVE, print_json, print_text, shown_text
from stream_recon.cli.results import Step, steps
from stream_recon.errors import ConfigError

_STATUSES: Final = ("opened", "updated", "resolved", "confirmed", "dismissed")


def ledger(where: Sequence[Path], prefix: str | None, *, as_json: bool) -> int:
    """Runs ``ledger`` and returns its exit code. Raises ``ReconError``."""
    if not where[0].is_dir():
        return _live(where, prefix, as_json=as_json)
    if len(where) > 1 or prefix is not None:
        raise ConfigError("give one directory, without --prefix, or the topologies of a deployment")
    return _recorded(where[0], as_json=as_json)


def _recorded(place: Path, *, as_json: bool) -> int:
    """Balances what a run left, shows it and returns the exit code: 1 if something does not balance, 2 if positions were lost.

    Raises:
        InputError: a file cannot be read, or chains do not hold.
    """
    runs = summaries(place)
    delivered = {name: _Delivered() for name in runs}
    for step in steps(place):
        if step.body["topology"] in delivered:
            delivered[step.body["topology"]].take(step)
    found = {name: _balanced(place, name, run, delivered[name]) for name, run in runs.items()}
    every = [account for lines, _ in found.values() for account in lines]
    wrong = any(account.wrong for account in every) or any(texts for _, texts in found.values())
    lost = any(account.counts["gaps"] for account in every)
    code = EXIT_DIFFERENT if wrong else EXIT_INCONCLUSIVE if lost else EXIT_FINE
    if as_json:
        topologies = {name: {"partitions": [_line(a) for a in lines], "wrong": texts} for name, (lines, texts) in found.items()}
        print_json({"exit_code": code, "balances": not wrong, "topologies": topologies})
    else:
        for name, (lines, texts) in found.items():
            _print(name, lines, texts)
        print_text("it does not balance" if wrong else "it balances; positions were lost" if lost else "it balances")
    return code


class _Delivered:
    """What of a topology was delivered: audit events by chain, discrepancy events by status."""

    def __init__(self) -> None:
        self.certified, self.chains, self.statuses = Certified(), Counter[str](), Counter[str]()

    def take(self, step: Step) -> None:
        self.certified.take(step.body)
        self.chains[step.body["chain"]] += 1
        self.statuses.update(event["status"] for event in step.events)


def _balanced(place: Path, name: str, run: Mapping[str, Any], delivered: _Delivered) -> tuple[list[Account], list[str]]:
    """The accounts of a topology, and what does not fit of what was delivered."""
    chains, statuses = delivered.chains, delivered.statuses
    letters = {  # each once: on topics they are delivered at least once
        (str(body["side"]), str(body["topic"]), int(body["partition"]), int(body["offset"]))
        for body in from_file(place)
        if body["topology"] == name and "view" not in body
    }
    texts = [
        f"{chains[chain]} audit events of {chain} were delivered, {run['chains'].get(chain, 0)} were said"
        for chain in sorted(chains.keys() | run["chains"].keys())
        if chains[chain] != run["chains"].get(chain, 0)
    ]
    texts += [
        f"{statuses[status]} discrepancies {status} were delivered, {run[status]} were said"
        for status in _STATUSES
        if statuses[status] != run[status]
    ]
    return accounts(run["partitions"], Counter(letter[:3] for letter in letters), delivered.certified), texts


def _line(account: Account) -> dict[str, Any]:
    side, topic, partition = account.place
    certified = {chain: {"from": start, "to": to} for chain, (start, to) in sorted(account.certified.items())}
    return {
        "side": side,
        "topic": topic,
        "partition": partition,
        "from": account.start,
        "to": account.to,
        **account.counts,
        "letters_delivered": account.letters,
        "certified": certified,
        "wrong": account.wrong,
    }


def _print(name: str, lines: Sequence[Account], texts: Sequence[str]) -> None:
    table = Table(title=f"receipts of {shown_text(name)}", title_justify="left")
    for column in ("side", "partition"):
        table.add_column(column, overflow="fold")
    for column in ("from", "to", *KINDS, "delivered", "certified to"):
        table.add_column(column, justify="right")
    for account in lines:
        side, topic, partition = account.place
        counts = [str(account.counts[kind]) for kind in KINDS]
        least = "-" if account.least is None else str(account.least)
        place = shown_text(f"{topic}/{partition}")
        table.add_row(shown_text(side), place, str(account.start), str(account.to), *counts, str(account.letters), least)
    print_text(table)
    for account in lines:
        for text in account.wrong:
            print_text(f"{shown_text('{} {}/{}'.format(*account.place))}: {shown_text(text)}")
    for text in texts:
        print_text(shown_text(text))


# ---- live --------------------------------------------------------------------------------------------------------------


def _live(where: Sequence[Path], prefix: str | None, *, as_json: bool) -> int:
    """Of a deployment: 1 if something does not balance, 2 if positions were lost or a topology is not open."""
    from stream_recon.cli.receiving import receipts  # Kafka's client is loaded for live topics only

    found = receipts(where, prefix)
    every = [receipt for lines in found.values() for receipt in lines or ()]
    wrong = any(receipt.wrong for receipt in every)
    lost = any(_gaps(receipt) for receipt in every)
    closed = [name for name, lines in found.items() if lines is None]
    code = EXIT_DIFFERENT if wrong else EXIT_INCONCLUSIVE if lost or closed else EXIT_FINE
    if as_json:
        topologies = {name: None if lines is None else [_receipt(r) for r in lines] for name, lines in found.items()}
        print_json({"exit_code": code, "balances": not wrong, "topologies": topologies})
        return code
    for name, lines in found.items():
        if lines is None:
            print_text(f"{shown_text(name)} is not open: stream-recon run opens it")
        else:
            _print_live(name, lines)
    balanced = "it balances; positions were lost" if lost else "it balances" if every else "there is nothing to balance"
    print_text("it does not balance" if wrong else balanced)
    return code


def _gaps(receipt: Receipt) -> int:
    return max((one.gaps for one in receipt.logged.values()), default=0)


def _counts(receipt: Receipt) -> dict[str, int | None]:
    """Up to where its home digest partition has it."""
    if receipt.counted is None:
        return dict.fromkeys(("from", "rows", "control", "dead_letters", "unused")) | {"gaps": _gaps(receipt)}
    one, c = receipt.counted
    counts = {"rows": c.rows, "control": c.control, "dead_letters": c.dead_letters, "unused": c.unused}
    return {"from": one.start, **counts, "gaps": _gaps(receipt)}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    upstream = receipt.upstream
    place = {"feed": upstream.side, "topic": upstream.topic, "topic_id": upstream.topic_id, "partition": upstream.partition}
    stages = [{str(home): one.next for home, one in sorted(stage.items())} for stage in (receipt.logged, receipt.folded)]
    certified = {chain: {"from": start, "to": to} for chain, (start, to) in sorted(receipt.certified.items())}
    by_partition = {"logged": stages[0], "folded": stages[1], "certified": certified}
    return place | _counts(receipt) | {"stages": receipt.stages, "digest_partitions": by_partition, "wrong": receipt.wrong}


def _print_live(name: str, lines: Sequence[Receipt]) -> None:
    table = Table(title=f"receipts of {shown_text(name)}", title_justify="left")
    for column in ("feed", "partition"):
        table.add_column(column, overflow="fold")
    names = ("from", *KINDS)
    for column in (*names, "certified to", "folded", "logged", "committed", "end"):
        table.add_column(column, justify="right")
    for receipt in lines:
        counts, stages, upstream = _counts(receipt), receipt.stages, receipt.upstream
        numbers = [counts[column] for column in names]
        numbers += [stages[stage] for stage in ("certified", "folded", "logged", "committed", "end")]
        place = shown_text(f"{upstream.topic}/{upstream.partition}")
        table.add_row(shown_text(upstream.side), place, *("-" if number is None else str(number) for number in numbers))
    print_text(table)
    for receipt in lines:
        for text in receipt.wrong:
            print_text(f"{shown_text(f'{receipt.upstream.topic}/{receipt.upstream.partition}')}: {shown_text(text)}")
