"""Chains as an auditor follows them: one promise broken at a time. That every promise is kept is held by ``tests/laws``."""

from __future__ import annotations

from typing import Any

import pytest

from stream_recon.audit.chain import Head, link
from stream_recon.audit.follow import Chain, Events, by_chain
from stream_recon.audit.merkle import root
from stream_recon.audit.text import dumps, json_object
from stream_recon.errors import ProofError

COUNTS = {"keys": 3, "equal": 2, "different": 1, "inconclusive": 0}


def event(number: int, status: str, id_: str = "a") -> bytes:
    return dumps({"chain": "t/a/0", "id": id_, "status": status, "window": window(number)})


def window(number: int, windows: int = 1) -> dict[str, str]:
    return {"start": f"at {number}", "end": f"at {number + windows}"}


def certificate(number: int, *events: bytes, open_: int = 0, **changed: Any) -> dict[str, Any]:
    return {
        "window": window(number),
        "number": number,
        "windows": 1,
        "verdict": "discrepant",
        "counts": COUNTS,
        "open": open_,
        "causes": [],
        "ranges": [{"side": "s", "topic": "t", "partition": 0, "from": number, "to": number + 1}],
        "events_root": root(events).hex(),
    } | changed


OPENED, AGAIN, HEALED = event(0, "opened"), event(1, "opened", "b"), event(2, "resolved")
GOOD = [certificate(0, OPENED, open_=1), certificate(1, AGAIN, open_=2), certificate(2, HEALED, open_=1)]
REBUILT = {"dismissed": 1, "events_root": root([event(2, "dismissed", "b")]).hex()}


def followed(contents: list[dict[str, Any]], events: list[bytes]) -> list[str]:
    """What is wrong with a chain of these contents, linked as they should be."""
    chain, head, given, said = Chain(), Head(), Events(events), []
    for content in contents:
        body, head = link(head, "rebuilt" if "dismissed" in content else "window", "t/a/0", content)
        said += list(chain.follow(body, json_object(body), given))
    left = given.left()
    return said + ([f"{left} left"] if left else [])


def test_a_good_chain() -> None:
    assert followed(GOOD, [OPENED, AGAIN, HEALED]) == []
    after = certificate(0, OPENED, open_=1)
    assert followed([*GOOD, REBUILT, after], [OPENED, AGAIN, HEALED, event(2, "dismissed", "b"), OPENED]) == []


def test_a_window_that_is_certified_again_after_a_rebuild_takes_its_own_events() -> None:
    """The window before the rebuild and the one after it are the same: only the roots say whose events are whose."""
    one, two = event(0, "opened", "x"), event(0, "opened", "y")
    none = {"dismissed": 1, "events_root": root([gone := event(0, "dismissed", "x")]).hex()}
    contents = [certificate(0, one, open_=1), none, certificate(0, two, open_=1)]
    assert followed(contents, [one, gone, two]) == []
    quiet = certificate(0), {"dismissed": 0, "events_root": root([]).hex()}, certificate(0, two, open_=1)
    assert followed(list(quiet), [two]) == []


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"number": 3}, "its windows begin at at 1, those before ended at at 1: time is left out or certified twice"),
        ({"window": window(2)}, "its windows begin at at 2, those before ended at at 1: time is left out or certified twice"),
        ({"verdict": "clean"}, "its verdict clean is not what its counts and causes say (discrepant)"),
        ({"counts": COUNTS | {"keys": 4}}, "its verdict discrepant is not what its counts and causes say (discrepant)"),
        ({"counts": COUNTS | {"different": 0}}, "its verdict discrepant is not what its counts and causes say (clean)"),
        ({"open": 1}, "it counts 1 discrepancies as open, the events up to it leave 2"),
        ({"open": 3}, "it counts 3 discrepancies as open, the events up to it leave 2"),
        ({"events_root": root([]).hex()}, "2 left"),
        ({"events_root": "00"}, "its events_root is not that of the 1 discrepancy events found: some were changed or removed"),
        ({"ranges": [{"side": "s", "topic": "t", "partition": 0, "from": 2, "to": 2}]}, "it has read s t/0 from 2 to 2, after 1"),
        ({"ranges": [{"side": "s", "topic": "t", "partition": 0, "from": 1, "to": 0}]}, "it has read s t/0 from 1 to 0, after 1"),
        ({"counts": None}, "it cannot be read as what its type says"),
        ({"counts": {}}, "it cannot be read as what its type says (KeyError: 'different')"),
        ({"window": "at 1"}, "it cannot be read as what its type says"),
        ({"ranges": [1]}, "it cannot be read as what its type says"),
    ],
)
def test_one_promise_broken(changed: dict[str, Any], said: str) -> None:
    found = followed([GOOD[0], GOOD[1] | changed, GOOD[2]], [OPENED, AGAIN, HEALED])
    assert any(text.startswith(said) for text in found), found


def test_a_rebuild_dismisses_what_is_open() -> None:
    dismissed = [event(2, "dismissed", name) for name in "bc"]
    wrong = REBUILT | {"dismissed": 2, "events_root": root(dismissed).hex()}
    assert followed([*GOOD, wrong], [OPENED, AGAIN, HEALED, *dismissed]) == ["it dismisses 2 discrepancies, and 1 are open"]


def bodies() -> list[bytes]:
    head, out = Head(), []
    for content in GOOD:
        body, head = link(head, "window", "t/a/0", content)
        out.append(body)
    return out


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ([0, 2], ["seq 1 must come here: 1 before this one missing"]),
        ([0, 0, 1, 2], ["seq 1 must come here: a body is repeated, or bodies changed places"]),
        ([0, 2, 1], ["seq 1 must come here: 1 before this one missing", "seq 3 must come here: a body is repeated"]),
        ([1, 2], ["seq 0 must come here: 1 before this one missing"]),
    ],
)
def test_the_links(order: list[int], said: list[str]) -> None:
    chain, found = Chain(), list[str]()
    for place in order:
        body = bodies()[place]
        found += [text for text in chain.follow(body, json_object(body), Events([])) if "must come" in text]
    assert [text.startswith(start) for text, start in zip(found, said, strict=True)] == [True] * len(said)


def test_a_changed_body_is_named_by_the_one_after_it() -> None:
    chain, events = Chain(), Events([OPENED, AGAIN, HEALED])
    first, second, third = bodies()
    changed = second.replace(b'"late":0', b'"late":1').replace(b'"at 1"', b'"at 1" ')
    assert list(chain.follow(first, json_object(first), events)) == []
    assert list(chain.follow(changed, json_object(changed), events)) == []
    (said,) = chain.follow(third, json_object(third), events)
    assert said == "it does not name the body before it: that one was changed, or this one belongs to another history"


@pytest.mark.parametrize("body", [b'{"seq":true,"type":"window"}', b'{"type":"window"}', b'{"seq":0}', b'{"seq":"0","type":"x"}'])
def test_what_is_no_event(body: bytes) -> None:
    chain = Chain()
    assert list(chain.follow(body, json_object(body), Events([]))) == ["it is no audit event: it has no seq or no type"]
    assert chain.head == Head()


def test_events_that_are_none() -> None:
    with pytest.raises(ProofError):
        by_chain([b'{"id":"a"}'])
    with pytest.raises(ProofError):
        by_chain([b"{"])
