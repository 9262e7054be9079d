"""The picture in the README: the board after eight minutes of the world, as SVG.

python -m stream_recon.demo.picture docs/images/demo.svg
"""

from __future__ import annotations

import re
import sys
import tempfile
from io import StringIO
from pathlib import Path

from rich.console import Console

from stream_recon.cli.wire import opened
from stream_recon.config import load_topology
from stream_recon.demo import FAST_TICK, LIVE_TICK, SPEED, files, screen
from stream_recon.demo.drive import Drive, layout
from stream_recon.demo.envelope import messages
from stream_recon.demo.world import START, make
from stream_recon.limits import MICROS

_AT = START + 484 * MICROS
_COLUMNS = 108


def draw() -> str:
    """The SVG; its fonts are those of the reader's machine, so that it loads nothing from elsewhere."""
    world = make()
    with tempfile.TemporaryDirectory() as name:
        plan = load_topology(files.prepare(Path(name)))
        with opened(layout(plan), Path(name), plan.parallelism or 1, keep=False) as pipeline:
            drive = Drive(pipeline, messages(world), world.planted)
            while drive.board.now < _AT:
                drive.tick(FAST_TICK if _AT - drive.board.now > FAST_TICK else LIVE_TICK)
    console = Console(
        record=True, width=_COLUMNS, file=StringIO(), force_terminal=True, color_system="truecolor", legacy_windows=False
    )
    console.print(screen.board(drive.board, SPEED, len(world.planted)))
    svg = console.export_svg(title="stream-recon demo", unique_id="demo")
    return re.sub(r"@font-face \{.*?\}\s*|<!--.*?-->\s*", "", svg, flags=re.DOTALL)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(), encoding="utf-8")
