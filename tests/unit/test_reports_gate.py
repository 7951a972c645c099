"""The gate never passes what it could not judge."""

from __future__ import annotations

from reports.gate import Verdict, gate, load_policy
from tests.unit.stats_runs import predictions, run_of


def _gate(run, text: str, folder) -> Verdict:
    (folder / "policy.toml").write_text(text)
    return gate(run, load_policy(folder / "policy.toml"))


def test_what_was_asked_of_groups_too_small_to_judge_is_no_pass(tmp_path) -> None:
    small = run_of(predictions(12, probabilities=False), tmp_path, "small")
    for text in ("[gaps]\naccuracy = 0.9", "[group_floors]\naccuracy = 0.01"):
        verdict = _gate(small, f"{text}\nattributes = ['race']", tmp_path)
        assert verdict.exit_code == 2 and [rule.reason for rule in verdict.rules] == ["too few images"]
    verdict = _gate(small, "[gaps]\nattributes = ['race x gender']\nequalised_odds = 0.9", tmp_path)
    assert verdict.exit_code == 2 and verdict.rules[0].reason == "not measured for intersections"
    assert verdict.lines()[0].startswith("could not be checked") and 'errors="1"' in verdict.junit()
