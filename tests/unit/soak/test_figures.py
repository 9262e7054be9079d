"""Trends of series that are known, and that a result becomes a section and a picture."""

import random
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from tools.soak.figures import MIB, Series, picture, section, trend, trends

HOUR = 3600


def series(slope: float, noise: float, seed: int = 1) -> Series:
    dice = random.Random(seed)
    return [(float(at), 100 + slope * at / HOUR + dice.gauss(0, noise)) for at in range(0, HOUR, 5)]


def test_a_line_has_its_slope_and_no_doubt() -> None:
    found = trend(series(12, 0), 600, HOUR)
    assert found is not None
    assert (found.slope, found.within) == pytest.approx((12, 0), abs=1e-6)
    assert found.shows


def test_the_interval_holds_the_slope_as_often_as_it_says() -> None:
    found = [trend(series(12, 3, seed), 0, HOUR) for seed in range(300)]
    held = sum(it is not None and abs(it.slope - 12) <= it.within for it in found)
    assert 0.91 <= held / 300 <= 0.99


def test_a_stretch_without_a_sample_has_no_trend() -> None:
    assert trend([(at, value) for at, value in series(0, 1) if not 1200 <= at < 1600], 0, HOUR) is None


def test_only_processes_that_lived_nearly_all_the_time_have_a_trend() -> None:
    def process(begin: float, end: float) -> dict[str, Series]:
        return {
            name: [(at, value * MIB) for at, value in series(1, 0) if begin <= at < end]
            for name in ("rss", "own", "files", "threads")
        }

    samples = {
        "series": {"rss": series(0, 1)},
        "processes": {"a/1": process(0, HOUR), "a/2": process(0, 1800), "b/3": process(1800, HOUR), "b/4": process(700, HOUR)},
        "stages": {"a/1": "run", "a/2": "normalise", "b/3": "run", "b/4": "reconcile"},
    }
    found = trends(samples, 600, HOUR)
    assert {name.partition(":")[0] for name in found} == {"all processes", "a/run", "b/reconcile"}
    assert found["a/run: own MiB (anonymous)"].slope == pytest.approx(1)


def result(**changes: Any) -> dict[str, Any]:
    at = series(0, 1)
    return {
        "date": "2026-11-21T00:00:00+00:00",
        "command": "make soak-service",
        "commit": "abc",
        "machine": {"cpu": "CPU", "cores": 2, "python": "3.11"},
        "seconds": float(HOUR),
        "warm_up_s": 600.0,
        "counts": dict.fromkeys(("source", "target", "planted", "mended", "opened", "resolved", "certificates", "chains"), 4),
        "broken": [],
        "faults": [{"what": "broker killed", "how": "1", "at": 60.0, "lasted_s": 9.0, "behind_s": 14.0}],
        "trends": {"open files": {"mean": 100.0, "slope": 3.0, "within": 1.0}},
        "samples": {"series": {"own": at, "files": at}, "processes": {}, "stages": {}},
    } | changes


def test_what_did_not_hold_is_said_in_place_of_what_did() -> None:
    assert "All held" in section(result())
    said = section(result(broken=["key 1: expected this, got that"]))
    assert "All held" not in said
    assert "* key 1: expected this, got that" in said


def test_the_picture_has_a_line_for_each_series_and_a_stripe_for_each_fault() -> None:
    names = [element.tag.rpartition("}")[2] for element in ET.fromstring(picture(result())).iter()]
    assert (names.count("polyline"), names.count("rect")) == (4, 1 + 4)
