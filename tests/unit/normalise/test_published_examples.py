"""Change events from the documentation and the tests of other projects (tests/vectors/cdc): the stated tables come out.

Every event goes through both decoders, which must agree; rows are folded in order into the table that they leave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stream_recon.model.messages import Op
from stream_recon.model.plan import FeedPlan, Format
from stream_recon.normalise.canonical import Cell, framed
from stream_recon.normalise.reference import message_format
from stream_recon.normalise.row_reader import RowReader
from tests.unit.normalise.envelopes import BROKER_MS, columns, decode, feed, octets

HERE = Path(__file__).parents[2] / "vectors" / "cdc"
Example = Mapping[str, Any]
EXAMPLES: list[Example] = json.loads((HERE / "examples.json").read_text(encoding="utf-8"))


def plan_of(example: Example) -> FeedPlan:
    """A feed of all columns that the example's messages hold."""
    form = Format(example["format"])
    found = columns(form, *(value for _, value in example["messages"]), table=example["table"])
    others = sorted(found - set(example["key"]))
    return feed(form, *others, key=example["key"], types=example["types"], table=example["table"])


def table_of(plan: FeedPlan, example: Example) -> dict[str, dict[str, str]]:
    """The rows that are left, by key text; a column as its framed text, ``?`` if it is unknown."""
    form = message_format(plan, RowReader(plan), None)
    table: dict[str, dict[str, str]] = {}
    for key, value in example["messages"]:
        for row in form.decode(octets(key), octets(value), BROKER_MS).rows:
            if row.op is Op.TRUNCATE:
                table.clear()
                continue
            assert row.key is not None
            key_text = "".join(framed(item).decode() for item in row.key)
            if row.cells is None:
                table.pop(key_text, None)
            else:
                table[key_text] = {c.name: shown(cell) for c, cell in zip(plan.columns, row.cells, strict=True)}
    return table


def shown(cell: Cell) -> str:
    return "?" if cell.unknown else framed(cell.item).decode()


@pytest.mark.parametrize("example", EXAMPLES, ids=[example["id"] for example in EXAMPLES])
def test_the_stated_table_comes_out(example: Example) -> None:
    plan = plan_of(example)
    decoded = decode(plan, *((key, value) for key, value in example["messages"]))
    assert [dead.reason for dead in decoded.dead] == example["dead"]
    assert len(decoded.control) == example["control"]
    assert decoded.rows.column("t").to_pylist() == example["times"]
    assert list(table_of(plan, example).values()) == example["final"]


def test_every_example_says_where_it_is_from() -> None:
    readme = (HERE / "README.md").read_text(encoding="utf-8")
    assert "Apache License 2.0" in readme
    assert len({example["id"] for example in EXAMPLES}) == len(EXAMPLES)
    for example in EXAMPLES:
        assert f"| `{example['source'].partition('/')[0]}/...` |" in readme
        assert example["basis"] in ("stated", "derived")
        assert example["about"]


def test_every_format_of_rows_has_examples_and_so_has_every_connector_that_is_read() -> None:
    assert {example["format"] for example in EXAMPLES} == {"canal-json", "debezium-json", "maxwell-json"}
    wanted = {f"debezium-{name}" for name in ("sqlserver", "oracle", "mysql", "postgresql", "mongodb", "flattened")}
    assert wanted <= {example["id"] for example in EXAMPLES}
