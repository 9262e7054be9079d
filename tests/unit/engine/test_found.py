"""What is open is counted by kind, and the oldest is known, whatever comes and goes."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from stream_recon.engine.found import Found
from stream_recon.lifecycle.states import Difference, Discrepancy, Kind


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([None, *Kind])), max_size=40))
def test_counts_and_the_oldest_are_those_of_what_is_in_it(steps: list[tuple[int, Kind | None]]) -> None:
    found = Found()
    for time, (number, kind) in enumerate(steps):
        key = (number, number)
        if kind is None:
            if key in found:
                del found[key]
        else:
            first = found[key].first_seen if key in found else time
            found[key] = Discrepancy(str(number), first, 1, Difference(kind, None, None))
        assert +found.kinds == Counter(one.difference.kind for one in found.values())
        assert found.oldest == min((one.first_seen for one in found.values()), default=None)
