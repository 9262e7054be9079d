"""The published specifications name what the code names: fields, columns, flags, kinds."""

import json
import re
from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from stream_recon.audit import checkpoint, entries
from stream_recon.audit.ed25519 import PrivateKey
from stream_recon.cli import verifying
from stream_recon.cli.main import run
from stream_recon.cli.places import POSITIONS
from stream_recon.lifecycle.states import Kind
from stream_recon.limits import CHECKPOINT_ENTRIES, LOG_FORMAT, SIGNING_KEY_SECONDS
from stream_recon.model.digest import (
    Block,
    Counts,
    End,
    Feed,
    Flag,
    Lift,
    Open,
    Pair,
    Partition,
    Range,
    Stall,
    Undecodable,
    digest_schema,
)

ROOT = Path(__file__).resolve().parents[3]
LOG = (ROOT / "docs/spec/digest-log.md").read_text(encoding="utf-8")
PROOF = (ROOT / "docs/spec/proof.md").read_text(encoding="utf-8")
VERDICTS = (ROOT / "docs/spec/verdicts.md").read_text(encoding="utf-8")


def rows(text: str, heading: str) -> list[list[str]]:
    """Cells of the table whose first heading is ``heading``."""
    lines = text.splitlines()
    (start,) = [i for i, line in enumerate(lines) if line.startswith(f"| {heading} |")]
    out = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        out.append([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]])
    return out


def names(text: str, heading: str) -> list[str]:
    """Everything in backticks in the first column of a table."""
    return [name for row in rows(text, heading) for name in re.findall(r"`([^`]+)`", row[0])]


def declared(cls: type) -> list[str]:
    return [f.name for f in fields(cls)]


def section(text: str, number: int) -> str:
    """A section of a page, without its subsections' siblings."""
    return text.split(f"\n## {number}. ")[1].split("\n## ", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("heading", "code"),
    [
        ("header", ["format", "kind", *declared(End)[:-1]]),
        ("in `feeds`", declared(Feed)),
        ("in `pairs`", declared(Pair)),
        ("in `ranges`", declared(Range)),
        ("in `counts`", declared(Counts)),
        ("in `undecodable`", declared(Undecodable)),
        ("column", [n.replace("large_0", "large_i") for n in digest_schema(1).names]),
        ("flag", [str(f.name) for f in Flag]),
    ],
)
def test_the_log_s_tables_are_the_code_s(heading: str, code: Iterable[str]) -> None:
    assert names(LOG, heading) == list(code)


def test_the_log_s_open_record_is_the_code_s() -> None:
    assert names(section(LOG, 2), "field") == declared(Open)


def test_the_log_s_short_records_are_the_code_s() -> None:
    for number, cls in ((3, Block), (4, Lift), (5, Partition), (6, End), (7, Stall)):
        first = section(LOG, number).split("\n\n")[1].split(".")[0]
        documented = re.findall(r"`([^`]+)`", first) + (["rows"] if cls is Block else [])
        assert documented == declared(cls)


def test_columns_and_flags_have_the_documented_form() -> None:
    schema = digest_schema(1)
    for name, form, _ in rows(LOG, "column"):
        assert str(schema.field(name.strip("`").replace("large_i", "large_0")).type) == form
    assert [int(row[1]) for row in rows(LOG, "flag")] == [int(f) for f in Flag]
    assert f"The digest log, version {LOG_FORMAT}\n" in LOG


def test_kinds_are_the_code_s() -> None:
    assert sorted(names(VERDICTS, "kind")) == sorted(Kind)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """Events of a small replay in which a key differs and agrees again."""
    place = tmp_path_factory.mktemp("docs")
    side = "name: {0}, topics: [{0}], format: json, key: [id]"
    text = f"version: 1\nname: t\nsource: {{{side.format('a')}}}\ntargets: [{{{side.format('b')}}}]\n"
    (place / "t.yaml").write_text(text, encoding="utf-8")
    for name, times in (("a", (0, 200_000)), ("b", (100_000, 200_000))):
        lines = [
            {
                "topic": name,
                "partition": 0,
                "offset": i,
                "ts": 1_700_000_000_000 + t,
                "key": None,
                "payload": f'{{"id": 1, "v": {i}}}',
            }
            for i, t in enumerate(times)
        ]
        (place / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    sides = [f"--side={name}={place / name}.jsonl" for name in "ab"]
    assert run(["replay", str(place / "t.yaml"), *sides, "--out", str(place / "out"), "--json"]) == 0
    return {
        name: [json.loads(line) for line in (place / "out" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("discrepancies", "audit")
    }


def test_discrepancies_have_the_documented_fields(written: dict[str, list[dict[str, Any]]]) -> None:
    documented = names(section(VERDICTS, 5), "field")
    opened, resolved = written["discrepancies"]
    assert (opened["status"], resolved["status"]) == ("opened", "resolved")
    inner = {"start", "end"}
    assert sorted(set(documented) - inner) == sorted(resolved)
    assert sorted(resolved.keys() - opened.keys()) == ["open_for_us"]


def test_certificates_have_the_documented_fields(written: dict[str, list[dict[str, Any]]]) -> None:
    documented = names(section(VERDICTS, 6), "field")
    assert documented[-2:] == ["lift_broken", "suspended"], "those that only some have"
    for body in written["audit"]:
        assert sorted(body) == sorted(documented[:-2])
        assert sorted(body["counts"]) == sorted(set(names(VERDICTS, "in `counts`")))


def test_links_between_pages_lead_somewhere() -> None:
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.glob("docs/**/*.md")]
    for page in pages:
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert "://" in link or (page.parent / link).exists(), f"{page.name}: {link}"


def test_decisions_are_numbered_and_say_what_was_not_taken() -> None:
    pages = sorted((ROOT / "docs/decisions").glob("*.md"))
    assert [int(p.name[:4]) for p in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        text = page.read_text(encoding="utf-8")
        assert text.startswith(f"# {page.name[:4]}: ")
        assert all(part in text for part in ("**Situation.**", "**Decision.**", "**Not taken.**", "**Price.**")), page.name


# ---- the proof ---------------------------------------------------------------------------------------------------------


def test_the_proof_names_its_files_and_types() -> None:
    assert names(PROOF, "file") == [verifying.ENTRIES, verifying.EVENTS, verifying.CHECKPOINTS, verifying.POLICY, POSITIONS]
    assert names(PROOF, "`payloadType`") == [entries.EVENT, entries.STATEMENT]
    made = entries.SigningKey(PrivateKey(bytes(range(32))).public, 0, 1).statement("NAME")
    members = re.findall(r'"(\w+)":', PROOF.split("introduces a signing key: `")[1].split("`")[0])
    assert members == list(json.loads(made))
    assert ("an hour each; after half an hour" in PROOF) == (SIGNING_KEY_SECONDS == 3600)
    assert f"every {CHECKPOINT_ENTRIES:,} entries" in PROOF


def test_the_checkpoint_shown_is_one() -> None:
    shown = next(block for block in PROOF.split("```") if block.startswith("\nexample.com/recon "))
    lines = [re.split(r" {3,}", line)[0] for line in shown.strip().split("\n\n")[0].split("\n")]
    made = checkpoint.parse("\n".join(lines) + "\n")
    assert (made.origin, made.size, made.time) == ("example.com/recon", 73, 1_795_306_435)
