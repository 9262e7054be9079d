"""Framing, rows, keys and hashes: docs/spec/canonical-form.md, sections 1 to 3 and its golden examples."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_recon.errors import Refused
from stream_recon.normalise.canonical import UNKNOWN, Cell, Digester, frame, framed, parse, row_text

ITEMS = st.one_of(st.none(), st.tuples(st.sampled_from("bnfsxdtcujlmi"), st.binary(max_size=40)))


def test_null_empty_zero_and_unknown_differ() -> None:
    assert len({framed(None), framed(("s", b"")), framed(("n", b"0")), framed(("s", b"0")), framed(("s", b"~"))}) == 5
    with pytest.raises(AssertionError):
        row_text([UNKNOWN], [False])


@given(st.lists(ITEMS, max_size=8))
def test_a_text_reads_back_as_what_it_was(items: list[tuple[str, bytes] | None]) -> None:
    """Injective: whatever reads back uniquely was framed uniquely."""
    assert list(parse(b"".join(framed(item) for item in items))) == items


@given(st.binary(max_size=30))
def test_what_is_no_canonical_text_is_refused(data: bytes) -> None:
    try:
        items = parse(data)
    except Refused:
        return
    assert b"".join(framed(item) for item in items) == data


@pytest.mark.parametrize("text", [b"s5:hell", b"s05:hello", b"s:x", b"5:hello", b"s-1:", b"s1", b"?", b"s" + b"9" * 30 + b":"])
def test_texts_that_are_refused(text: bytes) -> None:
    with pytest.raises(Refused):
        parse(text)


def test_golden_row() -> None:
    """The example of the specification: columns amount, id, note."""
    cells = [Cell(("n", b"12.5")), Cell(("n", b"7")), Cell(("s", "é".encode()))]
    assert row_text(cells, [False] * 3) == "n4:12.5n1:7s2:é".encode()
    digest = Digester().row(cells, [False] * 3)
    assert digest.hash is not None
    assert digest.hash.hex() == "0d1e5914685d1f4b0946be09e0352d578e316589e30ab05b55a1afbd996b0b6a"
    assert Digester().key_id(b"n1:7").hex() == "586d45153190e3aa03cab5a4b78e9e01"


def test_large_columns_stand_as_their_hash() -> None:
    cells = [Cell(("n", b"1")), Cell(("s", b"hello"))]
    inner = hashlib.sha256(b"s5:hello").hexdigest()
    assert row_text(cells, [False, True]) == b"n1:1" + frame("h", inner.encode())
    digest = Digester().row(cells, [False, True])
    assert digest.hash == hashlib.sha256(b"n1:1h64:" + inner.encode()).digest()
    assert digest.rest == hashlib.sha256(b"n1:1?").digest()
    assert digest.large == (hashlib.sha256(b"s5:hello").digest(),)


def test_a_large_column_null_unknown_and_empty() -> None:
    null, unknown, empty = (Digester().row([cell], [True]) for cell in (Cell(None), UNKNOWN, Cell(("s", b""))))
    assert null.hash == hashlib.sha256(b"~").digest()
    assert (null.large, unknown.large) == ((b"",), (None,))
    assert unknown.hash is None
    assert unknown.rest == null.rest == empty.rest
    assert empty.large == (hashlib.sha256(b"s0:").digest(),)


def test_an_unknown_column_that_is_not_large_leaves_no_hash() -> None:
    digest = Digester().row([UNKNOWN, Cell(None)], [False, True])
    assert (digest.hash, digest.rest, digest.large) == (None, None, (b"",))


def test_hash_key_keys_all_that_leaves() -> None:
    plain, keyed = Digester(), Digester(b"secret")
    cells = [Cell(("n", b"1")), Cell(("s", b"hello"))]
    text = row_text(cells, [False, True])
    digest = keyed.row(cells, [False, True])
    assert digest.hash == hmac.digest(b"secret", text, "sha256")
    assert keyed.key_id(b"n1:1") == hmac.digest(b"secret", b"n1:1", "sha256")[:16]
    other = plain.row(cells, [False, True])
    assert digest.hash != other.hash
    assert digest.rest != other.rest
    assert digest.large != other.large
