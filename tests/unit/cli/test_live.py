"""What ``run`` shows: log lines and a line per topology without a terminal, JSON for machines, a view that fits in a terminal."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading
from dataclasses import replace
from io import BytesIO, StringIO, TextIOWrapper

import pytest
from rich.console import Console

from stream_recon.cli.live import Screen, board
from stream_recon.errors import Undelivered
from stream_recon.service.picture import Picture, TopologyPicture
from tests.unit.service.test_metrics import NOTHING, NOW, PAIR, PICTURE, READING, SIDE, STALLED, S


class Ticks:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


CALM = replace(
    PICTURE,
    topologies=(
        TopologyPicture(
            "orders",
            None,
            (replace(SIDE, readings=(replace(READING, idle=False),)), replace(SIDE, side="maria")),
            (replace(PAIR, open=0),),
        ),
    ),
)


def after(picture: Picture, seconds: float, rows: int) -> Picture:
    """The same, later, when more rows were read."""
    topologies = tuple(
        replace(t, sides=tuple(replace(s, done=replace(s.done, rows=s.done.rows + rows)) for s in t.sides))
        for t in picture.topologies
    )
    return replace(picture, at=picture.at + int(seconds * S), topologies=topologies)


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord("stream_recon.normalise", level, "", 0, "%s", (text,), None)
    made.created = NOW / S + 0.25
    return made


def shown(width: int, height: int, picture: Picture) -> list[str]:
    file = StringIO()
    Console(file=file, width=width, height=height).print(board(picture, {("orders", "pg"): 1234.4}, 2.5, height))
    return [line.rstrip() for line in file.getvalue().splitlines()]


# ---- lines -------------------------------------------------------------------------------------------------------------


def test_log_lines_say_when_how_grave_who_and_what(capfd: pytest.CaptureFixture[str]) -> None:
    with Screen(terminal=False) as screen:
        screen.log(record("reads pg.public.orders/0 from 12"), "normalise-0")
        screen.log(record("pg is stalled\nsay more", logging.WARNING), "normalise-1")
        screen.log(record("a\x1b[2Jb", logging.ERROR), "run")
    assert capfd.readouterr() == (
        "",
        "2026-11-21T13:00:00Z INFO  normalise-0  reads pg.public.orders/0 from 12\n"
        "2026-11-21T13:00:00Z WARN  normalise-1  pg is stalled\n    say more\n"
        "2026-11-21T13:00:00Z ERROR run  a\\x1b[2Jb\n",
    )


def test_a_line_for_each_topology_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    ticks = Ticks()
    with Screen(every=10.0, terminal=False, clock=ticks) as screen:
        for second in range(16):
            ticks.now = 100.0 + second
            screen.show(after(CALM, second, 200 * second))
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        f"2026-11-21T13:00:{second}Z INFO  orders  pg: ok, lag 5.2s, behind 10, 200 rows/s; "
        "maria: idle, lag 5.2s, behind 10, 200 rows/s; maria compared: clean, 0 open, "
        "windows 5 clean, 1 discrepant, 0 inconclusive, closed to 12:59:20, 7 rows wait"
        for second in (10, 15)  # the last is what was left at the end
    ]


def test_what_is_wrong_or_not_known_is_said_in_the_line(capfd: pytest.CaptureFixture[str]) -> None:
    for picture in (PICTURE, NOTHING):
        with Screen(terminal=False) as screen:
            screen.show(picture)
    stalled, unknown = capfd.readouterr().err.splitlines()
    assert stalled.startswith("2026-11-21T13:00:00Z WARN  orders  pg: idle, ")
    assert "maria: STALLED since 12:58:30, 12 wait, lag 5.2s" in stalled
    assert "maria compared: discrepant, 3 open" in stalled
    assert "orders  why; pg: STOPPED, lag -, behind -, 0 rows/s; maria compared: nothing judged yet, windows" in unknown


def test_lines_of_many_threads_stay_whole(capfd: pytest.CaptureFixture[str]) -> None:
    def write(screen: Screen, number: int) -> None:
        for _ in range(50):
            screen.log(record(f"line {number}"), f"normalise-{number}")

    with Screen(terminal=False) as screen:
        threads = [threading.Thread(target=write, args=(screen, number)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 200
    assert all(re.fullmatch(r"\S+ INFO  normalise-(\d)  line \1", line) for line in lines)


def test_a_log_that_nobody_reads_any_more_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with Screen(terminal=False) as screen:
        monkeypatch.setattr(sys, "stderr", Gone())
        screen.log(record("anybody there?"), "run")


# ---- JSON --------------------------------------------------------------------------------------------------------------


def test_json_lines_go_to_stdout_and_the_log_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    ticks = Ticks()
    with Screen(as_json=True, every=2.0, clock=ticks) as screen:
        for second in range(6):
            ticks.now = 100.0 + second
            screen.show(after(PICTURE, second, 0))
        screen.log(record("hello"), "run")
    out, err = capfd.readouterr()
    assert [json.loads(line)["time"][17:19] for line in out.splitlines()] == ["02", "04", "05"]
    assert json.loads(out.splitlines()[0])["topologies"][0]["pairs"][0]["open"] == 3
    assert err == "2026-11-21T13:00:00Z INFO  run  hello\n"


def test_json_that_nobody_takes_is_not_delivered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(BytesIO):
        def write(self, octets: object) -> int:
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stdout", TextIOWrapper(Gone()))
    with pytest.raises(Undelivered):
        Screen(as_json=True, every=0.0).show(PICTURE)


# ---- the view ----------------------------------------------------------------------------------------------------------


def test_the_view_fits_80_columns_and_cuts_nothing() -> None:
    lines = shown(80, 24, PICTURE)
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "…" not in text
    assert re.search(r"orders +pg +5\.2s +10 +1,234 +12:59:55 +idle", text)
    assert re.search(r"orders +maria +5\.2s .* STALLED since 12:58:30, 12", text)
    assert re.search(r"orders +maria +discrepant +3 +5 +1 +0 +12:59:20 +7", text)
    assert "13:00:00 UTC; workers: 2 normalise, 1 reconcile; 2.5 transactions/s; 6 to fold" in text


def test_what_is_in_trouble_stays_in_sight_where_not_all_fits() -> None:
    calm = [replace(CALM.topologies[0], topology=f"t{n:03}") for n in range(200)]
    bad = replace(CALM.topologies[0], sides=(SIDE, STALLED), pairs=(replace(PAIR, open=3),))
    stopped = replace(CALM.topologies[0], topology="customers", stopped="topology customers stopped: too many dead letters")
    lines = shown(100, 30, replace(PICTURE, topologies=(*calm, bad, stopped)))
    assert len(lines) <= 30
    text = "\n".join(lines)
    assert "STALLED since" in text
    assert text.count("STOPPED") == 2
    assert "too many dead letters" in text
    assert re.search(r"orders +maria +discrepant +3", text)
    assert re.search(r"and 39\d more", text)


def test_what_is_folded_elsewhere_or_nowhere_is_not_taken_for_clean() -> None:
    pairs = (replace(PAIR, open=0, homes=5, parts=8), replace(PAIR, target="search", open=None, closed=None, waiting=None))
    text = "\n".join(shown(100, 24, replace(CALM, topologies=(replace(CALM.topologies[0], pairs=pairs),))))
    assert re.search(r"maria +clean \(5 of 8 parts\) +0", text)
    assert re.search(r"search +- +- ", text)


_IN_A_TERMINAL = """
import logging, sys
from stream_recon.cli.live import Screen
from tests.unit.cli.test_live import PICTURE, Ticks, record
from stream_recon.cli.output import print_text
ticks = Ticks()
with Screen(clock=ticks) as screen:
    screen.show(PICTURE)
    screen.log(record("said meanwhile", logging.WARNING), "run")
    ticks.now += 1
    screen.show(PICTURE)
print_text("the result")
"""


def in_a_terminal(**environment: str) -> tuple[str, str]:
    """What a terminal of 80 columns gets on stderr, and stdout."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    base = {k: v for k, v in os.environ.items() if k not in {"NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES"}}
    child = subprocess.Popen(
        [sys.executable, "-c", _IN_A_TERMINAL],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=base | {"TERM": "xterm-256color"} | environment,
    )
    os.close(theirs)
    parts = []
    try:
        while part := os.read(ours, 65536):
            parts.append(part)
    except OSError:  # Linux: the other end is closed
        pass
    os.close(ours)
    out, _ = child.communicate(timeout=30)
    assert child.returncode == 0, b"".join(parts)
    return b"".join(parts).decode(), out.decode()


def test_a_terminal_gets_a_view_with_log_lines_above_it_and_stdout_the_result() -> None:
    seen, out = in_a_terminal()
    assert out == "the result\n"
    assert seen.count("STALLED") >= 3  # drawn anew each time, and once more at the end
    assert "\x1b[33m2026-11-21T13:00:00Z WARN  run  said meanwhile" in seen
    assert "\x1b[?25h" in seen.rsplit("UTC", 1)[1]  # the cursor is back


def test_no_color_is_kept() -> None:
    seen, _ = in_a_terminal(NO_COLOR="1")
    assert "STALLED" in seen
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", seen)


def test_a_dumb_terminal_gets_lines() -> None:
    seen, _ = in_a_terminal(TERM="dumb")
    assert "\x1b" not in seen
    assert "2026-11-21T13:00:00Z WARN  orders  pg: idle" in seen


def test_after_it_was_closed_lines_are_lines(capfd: pytest.CaptureFixture[str]) -> None:
    screen = Screen(terminal=True)
    with screen:
        screen.show(PICTURE)
        screen.close()
        capfd.readouterr()
        screen.log(record("later"), "run")
    assert capfd.readouterr().err == "2026-11-21T13:00:00Z INFO  run  later\n"
