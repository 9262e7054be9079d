"""Which columns an entry of ``columns`` reads, by DataFusion's own reading."""

import pytest

from stream_recon.config.expressions import columns_read, plain_column


@pytest.mark.parametrize(
    ("text", "column"),
    [
        ("total", "total"),
        ("Total", "Total"),
        ("größe", "größe"),
        ('"order date"', "order date"),
        ('"a""b"', 'a"b'),
        ('"a" || "b"', None),
        ("order-date", None),
        ("1a", None),
        ("a.b", None),
        ('""', None),
    ],
)
def test_plain_columns(text: str, column: str | None) -> None:
    assert plain_column(text) == column


@pytest.mark.parametrize(
    ("expression", "reads"),
    [
        ("net + tax", ("net", "tax")),
        ("NET + Tax", ("net", "tax")),
        ('"Net" + "a""b"', ("Net", 'a"b')),
        ("coalesce(note, 'it''s net -- tax')", ("note",)),
        ("net -- tax", ("net",)),
        ("CASE WHEN paid THEN 'x' ELSE note END", ("note", "paid")),
        ("cast(total AS decimal(18, 4)) / 100", ("total",)),
        ("a || b || c || upper(d)", ("a", "b", "c", "d")),
        ("date_part('year', placed) * quantity", ("placed", "quantity")),
        ("address['city']", ("address",)),
        ("extract(year from placed)", ("placed",)),
        ("interval '1 day' + placed", ("placed",)),
        ("'EUR'", ()),
        ('"now" + 1', ("now",)),
    ],
)
def test_columns_read(expression: str, reads: tuple[str, ...]) -> None:
    assert columns_read(expression) == reads


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        ("a, b", "no SQL expression"),
        ("a; drop table t", "no SQL expression"),
        ("a from t --", "no SQL expression"),
        ("(select max(a) from t)", "holds a query"),
        ("exists (SELECT 1)", "holds a query"),
        ("count(*)", r"calls count\(\)"),
        ("row_number() over ()", "calls a window"),
        ("random() + a", r"calls random\(\), whose answer is not in the row"),
        ("UUID()", r"whose answer is not in the row"),
        ("current_date", 'write "current_date" in quotes'),
        ("nofunction(a)", r"calls nofunction\(\)"),
        ("a = $1", "holds the placeholder"),
        ("t.a + 1 +", "no SQL expression"),
    ],
)
def test_refused_expressions(expression: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        columns_read(expression)
