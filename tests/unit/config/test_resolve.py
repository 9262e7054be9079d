"""Which columns a pair compares."""

from collections.abc import Callable

import pytest

from stream_recon.config import configuration_hash, resolve_feeds, rules_id, unused_settings
from stream_recon.errors import ConfigError
from stream_recon.model.plan import FeedPlan, TopologyPlan, TypeRule

Load = Callable[..., TopologyPlan]


def feeds(plan: TopologyPlan, source: str | None, target: str | None) -> tuple[FeedPlan, FeedPlan]:
    (pair,) = resolve_feeds(plan, _set(source), {"maria": _set(target)})
    return pair


def _set(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(text.split())


def names(feed: FeedPlan) -> list[str]:
    return [c.name for c in feed.columns]


def made_from(feed: FeedPlan) -> dict[str, str | None]:
    return {c.name: c.upstream or c.expression for c in feed.columns}


def test_default_is_what_both_have(load: Load) -> None:
    source, target = feeds(load(), "id a b only_here", "id b a synced_at")
    assert names(source) == names(target) == ["a", "b", "id"]
    assert [c.name for c in source.key_columns] == ["id"]


def test_names_are_in_order_of_their_octets(load: Load) -> None:
    source, _ = feeds(load(), "id Z a é 𝒳 \uff5a", "id Z a é 𝒳 \uff5a")
    assert names(source) == ["Z", "a", "id", "é", "\uff5a", "𝒳"]


def test_a_used_column_leaves_the_default(load: Load) -> None:
    plan = load(source="columns: {amount: total}")
    source, target = feeds(plan, "id total note", "id total amount note")
    assert made_from(source) == {"amount": "total", "id": "id", "note": "note"}
    assert made_from(target) == {"amount": "amount", "id": "id", "note": "note"}


def test_what_an_expression_reads_leaves_the_default_too(load: Load) -> None:
    plan = load(source="columns: {full: first || last}\ntypes: {first: string, last: string}")
    source, _ = feeds(plan, "id first last", "id first last full")
    assert names(source) == ["full", "id"]
    assert source.columns[0].reads == ("first", "last")
    assert source.columns[0].type is None
    assert source.types == (("first", TypeRule("string")), ("last", TypeRule("string")))


def test_swapped_columns(load: Load) -> None:
    source, _ = feeds(load(source="columns: {a: b, b: a}"), "id a b", "id a b")
    assert made_from(source) == {"a": "b", "b": "a", "id": "id"}


def test_null_leaves_out(load: Load) -> None:
    source, target = feeds(load(target="columns: {note: null}"), "id a note", "id a note")
    assert names(source) == names(target) == ["a", "id"]


def test_types_zones_and_large_follow_the_upstream_name(load: Load) -> None:
    plan = load(
        "compare: {large: [note]}",
        "columns: {amount: total}\ntypes: {total: 'decimal(9, 2)', amount: float}\ntimezone: {at: Europe/Berlin}",
    )
    source, target = feeds(plan, "id total note at", "id amount note at")
    by_name = {c.name: c for c in source.columns}
    assert by_name["amount"].type == TypeRule("decimal", ("9", "2"))
    assert by_name["at"].timezone == "Europe/Berlin"
    assert [c.name for c in source.large_columns] == [c.name for c in target.large_columns] == ["note"]
    assert unused_settings(plan, _set("id total note at"), {"maria": _set("id amount note at")}) == (
        "orders: side pg: types: no message has a column 'amount'",
    )


@pytest.mark.parametrize(("source", "target"), [(None, "id a b"), ("id a b", None), ("", "id a b"), ("id a b", "")])
def test_an_unseen_side_has_what_the_other_has(load: Load, source: str | None, target: str | None) -> None:
    one, other = feeds(load("compare: {ignore: [b]}"), source, target)
    assert names(one) == names(other) == ["a", "id"]


def test_an_unseen_side_offers_what_the_other_maps(load: Load) -> None:
    one, other = feeds(load(target="columns: {amount: total}"), None, "id total a")
    assert made_from(one) == {"a": "a", "amount": "amount", "id": "id"}
    assert made_from(other) == {"a": "a", "amount": "total", "id": "id"}
    one, other = feeds(load(source="columns: {amount: total}"), None, "id amount a")
    assert made_from(one) == {"a": "a", "amount": "total", "id": "id"}


def test_two_unseen_sides_compare_their_keys(load: Load) -> None:
    one, other = feeds(load("compare: {large: [note]}"), None, None)
    assert names(one) == names(other) == ["id"]


def test_a_key_may_stand_in_the_message_key_alone(load: Load) -> None:
    one, other = feeds(load(source_format="json", target_format="json"), "a", "id a")
    assert names(one) == names(other) == ["a", "id"]


@pytest.mark.parametrize("key", ["[id]", "[order_id]"])
def test_a_key_by_mapped_or_upstream_name(load: Load, key: str) -> None:
    one, other = feeds(load(target="columns: {id: order_id}", target_key=key), "id a", "order_id a")
    assert names(one) == names(other) == ["a", "id"]
    assert other.key_columns[0].upstream == "order_id"


def test_a_key_column_is_compared_though_ignored(load: Load) -> None:
    plan = load("compare: {ignore: [id, zz]}")
    one, _ = feeds(plan, "id a", "id a")
    assert names(one) == ["a", "id"]
    assert unused_settings(plan, _set("id a"), {"maria": _set("id a")}) == (
        "orders: compare.ignore: no side has a column 'zz'",
        "orders: compare.ignore: 'id' is a key column; it is compared all the same",
    )


def test_an_ignored_mapping_needs_no_counterpart(load: Load) -> None:
    one, _ = feeds(load("compare: {ignore: [amount]}", "columns: {amount: total}"), "id total a", "id a")
    assert names(one) == ["a", "id"]


@pytest.mark.parametrize(
    ("settings", "source", "target", "message"),
    [
        (
            {"target_key": "[order_id]"},
            "id a",
            "order_id a",
            "orders: the key of side pg is [id], of side maria [order_id]; map one onto the other's names in columns:, such as "
            "columns: {id: order_id}",
        ),
        (
            {"source": "columns: {amount: total}"},
            "id total",
            "id amuont",
            "orders: side pg: columns.amount: side maria has no column 'amount'; did you mean amuont?; there write columns: "
            "{amount: ITS_COLUMN}, or here amount: null",
        ),
        (
            {"source": "columns: {amount: totl}"},
            "id total",
            "id amount",
            "orders: side pg: columns.amount reads 'totl', which no message has; did you mean total?; "
            "the columns are [id, total]",
        ),
        (
            {"top": "compare: {large: [nota]}"},
            "id note",
            "id note",
            "orders: compare.large: 'nota' is no compared column; compared are [id, note]; did you mean note?",
        ),
        (
            {"top": "compare: {large: [id]}"},
            "id note",
            "id note",
            "orders: compare.large: 'id' is a key column, which is never unknown; remove it from large",
        ),
        (
            {"source": "columns: {a: id, b: id}"},
            "id",
            "id a b",
            "orders: side pg: key 'id' is mapped to a and b; write the mapped name in key:",
        ),
    ],
)
def test_refused(load: Load, settings: dict[str, str], source: str, target: str, message: str) -> None:
    plan = load(**settings)
    with pytest.raises(ConfigError) as caught:
        feeds(plan, source, target)
    assert str(caught.value) == message


def test_rules_id_follows_everything_that_shapes_a_hash(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECON_TEST_KEY", "one")
    variants = [
        load(),
        load(source="types: {a: integer}"),
        load(source="columns: {a: b}"),
        load(source="timezone: {a: UTC}"),
        load("unicode: nfc"),
        load("compare: {large: [a]}"),
        load("compare: {ignore: [b]}"),
        load("hash_key: {env: RECON_TEST_KEY}"),
        load(source_format="json"),
    ]
    monkeypatch.setenv("RECON_TEST_KEY", "two")
    variants.append(load("hash_key: {env: RECON_TEST_KEY}"))
    ids = [rules_id(feeds(plan, "id a b", "id a b")) for plan in variants]
    assert len(set(ids)) == len(ids)
    assert rules_id(feeds(load("settle: 1s"), "id a b", "id a b")) == ids[0]


def test_ids_are_stable(load: Load) -> None:
    """They stand in logs and certificates: a change of these two lines is a change of format."""
    assert rules_id(feeds(load(), "id a", "id a")) == "86de3a70e90d661d2a6e649778185a71db60854d09107915b97f9fa7eb6778c4"
    assert configuration_hash(load()) == "7b2118772878faf54aa1dd929e655079bce92333792589c768045f1ea13c4ba6"


def test_configuration_hash_follows_answers_only(load: Load) -> None:
    first = configuration_hash(load())
    for top in (
        "outputs: {prefix: x}",
        "max_ahead: 2h",
        "max_buffer: 1GiB",
        "checkpoints: {location: s3://bucket/path}",
        "parallelism: 1",
        "window: 10s",
        "kafka: {bootstrap.servers: broker}",
    ):
        assert configuration_hash(load(top)) == first
    for top in (
        "window: 5s",
        "settle: 1s",
        "clock_skew: 0s",
        "out_of_orderness: 1s",
        "history: partial",
        "dead_letters: {max_share: 1%}",
    ):
        assert configuration_hash(load(top)) != first
