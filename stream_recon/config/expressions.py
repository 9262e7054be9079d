"""What a ``columns`` entry reads: a plain upstream column, or an SQL expression that DataFusion's own parser takes apart.

An expression must be a function of one row: no aggregate, no window, no sub-query, no placeholder, and nothing that asks the
clock, chance or the machine, since the same log must give the same hashes for ever. DataFusion folds unquoted names to lower
case; a column ``Total`` is written ``"Total"``. A name in double quotes alone is that column, and no expression.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache, lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datafusion import SessionContext

IMPURE = ("current_date", "current_time", "current_timestamp", "input_file_name", "now", "random", "today", "uuid", "version")
"""Functions whose answer is not in the row."""

_LEXEME = re.compile(r"""'(?:[^']|'')*' | "((?:[^"]|"")*)" | `([^`]*)` | ([^\W\d]\w*) | (\$\w+)""", re.VERBOSE)


def plain_column(text: str) -> str | None:
    """The upstream column that ``text`` names, or None if it is an expression.

    A plain name is taken letter by letter (no case folding); so is one in double quotes, in which ``""`` stands for one quote.
    """
    if text.isidentifier():
        return text
    quoted = re.fullmatch(r'"((?:[^"]|"")+)"', text)
    return quoted[1].replace('""', '"') if quoted else None


@lru_cache(maxsize=1024)
def columns_read(expression: str) -> tuple[str, ...]:
    """The upstream columns that ``expression`` reads, sorted. Raises ``ValueError`` with the whole sentence if it cannot be used.

    The planner itself decides: over a table with a column for every word of the text, a column is read if and only if the
    expression no longer resolves without it.
    """
    names, words = _lexemes(expression)
    resolves = _resolver(expression, names)
    reads = tuple(sorted(name for name in names if not resolves(names - {name})))
    bare = sorted(words & set(IMPURE) & set(reads))
    if bare:
        raise ValueError(
            f'{expression!r} reads the clock or the machine by {bare[0]}; if it is a column, write "{bare[0]}" in quotes'
        )
    return reads


def _lexemes(expression: str) -> tuple[frozenset[str], frozenset[str]]:
    """Every text that could be a column's name (more than are), and every unquoted word in lower case."""
    names: set[str] = set()
    words: set[str] = set()
    for quoted, ticked, word, placeholder in _LEXEME.findall(expression):
        if placeholder:
            raise ValueError(f"{expression!r} holds the placeholder {placeholder}; write the value itself")
        words |= {word.lower()}
        names |= {quoted.replace('""', '"'), ticked, word, word.lower()}
    if "select" in words:
        raise ValueError(f"{expression!r} holds a query; write an expression over the columns of one row")
    return frozenset(names - {""}), frozenset(words - {""})


def _resolver(expression: str, names: frozenset[str]) -> Callable[[Iterable[str]], bool]:
    """A test whether ``expression`` resolves over given columns.

    Column types are not known yet, and a few operators insist on one: the first type under which all of it resolves is taken.
    """
    import pyarrow as pa

    def failure(columns: Iterable[str], kind: pa.DataType) -> str | None:
        table = pa.table({name: pa.array([], kind) for name in [*columns, " "]})
        try:
            _session().from_arrow(table).parse_sql_expr(expression)
        except Exception as error:  # noqa: BLE001 - datafusion raises a bare Exception for every failure to plan
            return str(error)
        return None

    first: str | None = None
    for kind in (pa.null(), pa.string(), pa.int64(), pa.timestamp("us")):
        message = failure(names, kind)
        if message is None:
            return lambda columns, kind=kind: failure(columns, kind) is None  # type: ignore[misc]
        first = first or message
    raise ValueError(_explained(expression, first or ""))


def _explained(expression: str, message: str) -> str:
    """The planner's first line, in words for the user."""
    line = message.splitlines()[0]
    for noise in ("DataFusion error: ", "Error during planning: ", "SQL error: ", "This feature is not implemented: "):
        line = line.removeprefix(noise)
    function = re.search(r"Invalid function '(\w+)'", line)
    if function and function[1].lower() in IMPURE:
        return f"{expression!r} calls {function[1]}(), whose answer is not in the row; use only what the row holds"
    if function or "No functions registered" in line:
        called = f"{function[1]}()" if function else "a window"
        return f"{expression!r} calls {called}, which is no function of one row; use a scalar function of DataFusion"
    parser = re.fullmatch(r'ParserError\("(.*)"\)', line)
    return f"{expression!r} is no SQL expression in DataFusion's dialect: {parser[1] if parser else line}"


@cache
def _session() -> SessionContext:
    from datafusion import SessionContext

    session = SessionContext()
    for name in IMPURE:
        session.deregister_udf(name)
    for name in session.udafs():
        session.deregister_udaf(name)
    for name in session.udwfs():
        session.deregister_udwf(name)
    return session
