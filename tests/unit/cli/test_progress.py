"""Progress: quiet at first, lines in a log, nothing for machines."""

import pytest

from stream_recon.cli import progress
from stream_recon.cli.output import printable, shown_duration, shown_text
from stream_recon.cli.progress import ProgressReport


class Ticks:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    fake = Ticks()
    monkeypatch.setattr(progress, "time", fake)
    return fake


def test_lines_after_two_seconds_then_now_and_then(ticks: Ticks, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressReport(silent=False, terminal=False) as report:
        for seconds in (0.0, 1.9, 2.1, 5.0, 12.2):
            ticks.now = 100.0 + seconds
            report("read", int(seconds), 20)
    assert capsys.readouterr().err == "read: 10% after 2s\nread: 60% after 12s\n"


def test_a_bar_on_a_terminal(ticks: Ticks, capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressReport(silent=False, terminal=True) as report:
        report("read", 1, 20)
        ticks.now += 3
        report("read", 1, 20)
        report("reconcile", 0, 0)
    assert "read" in capsys.readouterr().err


def test_silence(ticks: Ticks, capsys: pytest.CaptureFixture[str]) -> None:
    for terminal in (True, False):
        with ProgressReport(silent=True, terminal=terminal) as report:
            ticks.now += 60
            report("read", 1, 2)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("us", "text"), [(None, "never"), (0, "0s"), (1, "1us"), (250_000, "250ms"), (90_000_000, "90s"), (86_400_000_000, "1d")]
)
def test_durations(us: int | None, text: str) -> None:
    assert shown_duration(us) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (7, "7"),
        ("Gül", "Gül"),
        ("Gu\u0308l", '"Gu\\u0308l"'),
        ("a ", '"a "'),
        ("", '""'),
        ("\x1b[31mred", '"\\u001b[31mred"'),
        ("a\nb", '"a\\nb"'),
    ],
)
def test_keys_are_told_apart_and_steer_no_terminal(value: object, text: str) -> None:
    assert shown_text(value) == text


def test_messages_steer_no_terminal() -> None:
    assert printable("é a\nb\x1b[2J\r") == "é a\nb\\x1b[2J\\r"
