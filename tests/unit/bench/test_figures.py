"""Figures: the middle of the rounds, each against the roofline of its own round."""

from stream_recon.bench import figures
from stream_recon.bench.figures import BOTH, NORMALISE, RECONCILE, ROOFLINE, Measured, Used
from stream_recon.bench.meter import Reading, read

MB = 1_000_000


def taken(roofline: float, scale: float) -> dict[str, Measured]:
    def one(cpu: float, name: str) -> Measured:
        return Measured(2_000_000, 4.0, {name: Used(cpu, 100 * MB)})

    both = {"normalise-0": Used(6 * scale, 300 * MB), "reconcile-0": Used(2 * scale, 200 * MB)}
    return {
        ROOFLINE: one(roofline, "roofline"),
        NORMALISE: one(5 * scale, "normalise-0"),
        RECONCILE: one(2 * scale, "reconcile-0"),
        BOTH: Measured(2_000_000, 8.0, both),
    }


def test_cpu_is_for_a_million_messages_and_shares_are_of_the_roofline() -> None:
    found = figures.figures([taken(2.0, 1.0)])
    assert found[BOTH].cpu_per_million == 4.0
    assert found[BOTH].share == 0.25
    assert found[BOTH].rate == 250_000
    assert found[f"{BOTH}: normalise"].cpu_per_million == 3.0
    assert found[f"{BOTH}: reconcile"].peaks == {"reconcile-0": 200 * MB}
    assert found[ROOFLINE].share == 1.0


def test_of_several_rounds_the_middle_counts() -> None:
    found = figures.figures([taken(2.0, 1.0), taken(4.0, 2.0), taken(2.0, 9.0)])
    assert found[BOTH].share == 0.25, "a machine that is twice as slow for a round changes no share"
    assert found[BOTH].cpu_per_million == 8.0


def test_the_table_has_a_line_for_each_stage_and_part() -> None:
    stages = {stage: figure.to_json() for stage, figure in figures.figures([taken(2.0, 1.0)]).items()}
    lines = list(figures.rows(stages))
    assert lines[0] == ("roofline", "500,000", "1.00", "100%", "100")
    assert lines[3] == ("end to end", "250,000", "4.00", "25%", "300 + 200")
    assert lines[4] == ("  of it normalise", "", "3.00", "33%", "300")
    assert figures.table(stages).row_count == len(lines) == 6


def test_start_up_is_not_counted() -> None:
    assert Used.between(Reading(0.0, 1.5, 10), Reading(9.0, 4.0, 20)) == Used(2.5, 20)


def test_readings_grow() -> None:
    first = read()
    last = read()
    assert last.cpu >= first.cpu
    assert last.wall >= first.wall
    assert first.peak > MB


def test_where_and_what_is_told() -> None:
    assert figures.machine()["cores"] >= 1
    assert {"librdkafka", "python", "stream-recon", "datafusion"} <= figures.versions().keys()
