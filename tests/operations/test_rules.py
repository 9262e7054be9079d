"""The alerting rules, by Prometheus's own tool: each fires on its fault and on nothing else, and says where to read on."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from stream_recon.service.metrics import families
from tests.unit.service.test_metrics import PICTURE
from tools.prometheus import program

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "monitoring" / "prometheus" / "rules.yaml"
TESTS = RULES.with_name("rules.test.yaml")


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in read(RULES)["groups"] for rule in group["rules"]]


ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def promtool(*words: str | Path) -> None:
    done = subprocess.run([program("promtool"), *words], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_are_good_and_do_what_their_tests_say() -> None:
    promtool("check", "rules", RULES.name)
    promtool("test", "rules", TESTS.name)


def test_each_alert_is_tested_to_fire_and_to_be_silent() -> None:
    asked = [one for test in read(TESTS)["tests"] for one in test.get("alert_rule_test", [])]
    fires = {one["alertname"] for one in asked if one.get("exp_alerts")}
    silent = {one["alertname"] for one in asked if not one.get("exp_alerts")}
    assert fires == silent == ALERTS.keys()


@pytest.mark.parametrize("name", ALERTS)
def test_each_alert_has_a_runbook(name: str) -> None:
    page = ROOT / ALERTS[name]["annotations"]["runbook_url"]
    assert page.name == f"{name}.md"
    text = page.read_text(encoding="utf-8")
    assert text.startswith(f"# {name}\n")
    assert "\n## Look\n" in text
    assert "\n## Do\n" in text
    for link in re.findall(r"\]\((\w+\.md)\)", text):
        assert (page.parent / link).exists()


def test_every_metric_that_a_rule_asks_for_is_served() -> None:
    served = {f"{family.name}{end}" for family in families(PICTURE, "1") for end in ("", "_bucket", "_count", "_sum")} | {
        rule["record"] for rule in rules() if "record" in rule
    }
    asked = {name for rule in rules() for name in re.findall(r"stream_recon[\w:]+", rule["expr"])}
    assert asked <= served
