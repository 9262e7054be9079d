"""When undecodable messages are too many: a share of what was read lately, and not before there are some."""

from __future__ import annotations

from stream_recon.service.letters import AT_LEAST, LetterShare

S = 1_000_000


def share(percent: int = 5, over: int = 600) -> LetterShare:
    return LetterShare(percent / 100, over * S)


def test_nothing_is_not_too_much() -> None:
    assert share().exceeded(0.0) is None


def test_a_few_stop_nothing_however_large_their_share() -> None:
    letters = share()
    letters.add(0.0, AT_LEAST - 1, AT_LEAST - 1)
    assert letters.exceeded(0.0) is None
    letters.add(0.0, 1, 1)
    assert "10 of the last 10 messages" in (letters.exceeded(0.0) or "")


def test_exactly_the_share_is_allowed() -> None:
    letters = share(5)
    letters.add(0.0, 400, 20)
    assert letters.exceeded(0.0) is None
    letters.add(0.0, 1, 1)
    assert "21 of the last 401" in (letters.exceeded(0.0) or "")


def test_a_share_of_all_is_never_exceeded() -> None:
    letters = share(100)
    letters.add(0.0, 1000, 1000)
    assert letters.exceeded(0.0) is None


def test_what_is_long_ago_does_not_count() -> None:
    letters = share(5, over=600)
    letters.add(0.0, 100, 50)
    letters.add(500.0, 900, 5)
    assert letters.exceeded(600.0) is not None
    assert letters.exceeded(601.0) is None
    letters.add(602.0, 1, 0)
    letters.add(603.0, 0, 60)
    assert "65 of the last 901" in (letters.exceeded(1000.0) or "")


def test_time_is_counted_in_a_bounded_number_of_parts() -> None:
    letters = share(5, over=600)
    for tenth in range(30_000):
        letters.add(tenth / 10, 1, 0)
    assert len(letters._parts) <= 200
    letters.exceeded(3000.0)
    assert len(letters._parts) <= 21
    letters.add(3000.0, 0, 10_000)
    told = letters.exceeded(3000.0) or ""
    read = int(told.split()[4])
    assert 5_700 <= read <= 6_000, "ten a second, for ten minutes less one part"
