"""``ledger``: receipts of what a run read, balanced for each upstream partition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich.table import Table

from stream_recon.audit.ledger import KINDS, Account, Certified, accounts
from stream_recon.audit.text import json_object
from stream_recon.cli.certificates import results, summaries
from stream_recon.cli.letters import from_file
from stream_recon.cli.output import EXIT_DIFFERENT, EXIT_FINE, EXIT_INCONCLUSIVE, print_json, print_text, shown_text
from stream_recon.errors import InputError, ProofError

_STATUSES: Final = ("opened", "updated", "resolved", "confirmed", "dismissed")


def ledger(place: Path, *, as_json: bool) -> int:
    """Balances what a run left, shows it and returns the exit code: 1 if something does not balance, 2 if positions were lost.

    Raises:
        InputError: a file cannot be read, or chains do not hold.
    """
    found = {name: _balanced(place, name, run) for name, run in summaries(place).items()}
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


def _balanced(place: Path, name: str, run: Mapping[str, Any]) -> tuple[list[Account], list[str]]:
    """The accounts of a topology, and what does not fit of what was delivered."""
    certified, chains, statuses = Certified(), Counter[str](), Counter[str]()
    for _, body, _ in results(place):
        if body["topology"] == name:
            certified.take(body)
            chains[body["chain"]] += 1
    try:
        with (place / "discrepancies.jsonl").open("rb") as lines:
            events = (json_object(line) for line in lines)
            statuses.update(event["status"] for event in events if event["topology"] == name)
    except (OSError, ProofError, KeyError) as error:
        raise InputError(f"{place}: discrepancies.jsonl cannot be read: {error}") from error
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
    return accounts(run["partitions"], Counter(letter[:3] for letter in letters), certified), texts


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
