"""The command line as a person uses it: every verb on drawn faces, and what wrong calls answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import facevalue as front_door
from tests.conftest import ROOT, Drawn


class Done(NamedTuple):
    stdout: str
    stderr: str


@pytest.fixture
def facevalue(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """The command, in this process; checks the exit code."""

    def call(*words: object, code: int = 0) -> Done:
        monkeypatch.setattr(sys, "argv", ["facevalue", *map(str, words)])
        with pytest.raises(SystemExit) as stopped:
            front_door.main()
        done = Done(*capsys.readouterr())
        assert (stopped.value.code or 0) == code, (
            f"exit {stopped.value.code}, expected {code}\n{done.stdout}\n{done.stderr}"
        )
        return done

    return call


def test_audit_show_and_report(drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    metadata = drawn.data / "metadata.csv"
    out = tmp_path / "run"
    facevalue("audit", drawn.data, "--metadata", metadata, "--split", "test", "--model", drawn.model, "--out", out)
    facts = json.loads(facevalue("show", out, "--json").stdout)
    assert facts["schema"] == 1
    assert facts["n"] == sum(map(sum, facts["confusion"]))
    assert {"attribute", "group", "standardised", "omitted"} <= set(facts["groups"][0])
    assert any(row["attribute"] == "apparent_gender × skin_tone" for row in facts["groups"])
    facevalue("report", out, "--out", tmp_path / "report")
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["confusion"] == facts["confusion"]
    assert "<html" in (tmp_path / "report" / "report.html").read_text()[:200].lower()


def test_show_prints_findings(drawn: Drawn, facevalue: Callable[..., Done]) -> None:
    printed = facevalue("show", drawn.run).stdout
    assert "FV-" in printed
    assert "accuracy" in printed


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["audit", "nowhere", "--model", "MODEL", "--out", "OUT"], ["nowhere"]),
        (["audit", "DATA", "--model", "nomodel", "--out", "OUT"], ["nomodel"]),
        (["audit", "DATA", "--model", "MODEL", "--out", "OUT", "--split", "holdout"], ["holdout", "train", "test"]),
        (["audit", "DATA", "--model", "MODEL", "--out", "OUT", "--attributes", "height"], ["height"]),
        (["audit", "DATA", "--model", "MODEL", "--out", "OUT", "--classes", "happy,sad"], ["2 classes", "7"]),
        (["audit", "DATA", "--model", "MODEL", "--out", "OUT", "--limit", "0"], ["0"]),
        (["audit", "DATA", "--model", "MODEL", "--out", "RUN"], ["RUN"]),
        (["show", "DATA"], ["DATA", "manifest.json"]),
        (["report", "DATA", "--out", "OUT"], ["DATA"]),
        (["serve", "DATA"], ["DATA"]),
        (["train", "no-such-recipe", "--data", "DATA", "--out", "OUT"], ["no-such-recipe"]),
    ],
)
def test_a_wrong_call_gets_one_sentence(
    drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done], words: list[str], says: list[str]
) -> None:
    places = {"DATA": drawn.data, "MODEL": drawn.model, "RUN": drawn.run, "OUT": tmp_path / "out"}
    done = facevalue(*(places.get(word, word) for word in words), code=2)
    sentence = done.stderr.strip()
    assert len(sentence.splitlines()) == 1
    assert all(str(places.get(word, word)) in sentence for word in says), sentence
    assert not (tmp_path / "out").exists()


def test_the_command_in_a_process_of_its_own() -> None:
    done = subprocess.run([sys.executable, ROOT / "facevalue.py", "show", "nowhere"], capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("facevalue: nowhere is not")
    assert "Traceback" not in done.stderr


def test_help_is_quick_to_load() -> None:
    code = (
        "import facevalue, sys; heavy = {'torch', 'pandas', 'plotly', 'dash'} & set(sys.modules); sys.exit(bool(heavy))"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_several_reviewers_agree_or_not(drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    from audit.run import AuditRun

    samples = AuditRun.open(drawn.run).samples
    names, labels = samples["sample_id"][samples["status"] == "ok"][:3], ("sad", "fear", "happy")
    at = ("--reviews", tmp_path / "reviews.sqlite")
    for reviewer, said in (("ann", labels), ("bob", labels), ("cid", ("sad", "fear", "angry"))):
        lines = [f"{name},{label}" for name, label in zip(names, said, strict=True)]
        file = tmp_path / f"{reviewer}.csv"
        file.write_text("\n".join(["sample_id,new_label", *lines]))
        assert "3 decisions" in facevalue("review", "import", drawn.run, file, "--reviewer", reviewer, *at).stdout
    told = json.loads(facevalue("review", "agreement", drawn.run, "--json", *at).stdout)
    assert told["pictures"] == 3 and told["share"] == pytest.approx(7 / 9)
    assert {(pair["a"], pair["b"], pair["n"]) for pair in told["cohen"]} == {
        ("ann", "bob", 3), ("ann", "cid", 3), ("bob", "cid", 3),
    }  # fmt: skip
    assert "Krippendorff's alpha" in facevalue("review", "agreement", drawn.run, *at).stdout
    out = tmp_path / "corrected.csv"
    facevalue("review", "export", drawn.run, "--out", out, "--consensus", "dawid_skene", *at)
    assert out.read_text().count("True") >= 2
    refused = facevalue("review", "export", drawn.run, "--out", out, "--consensus", "dice", *at, code=2)
    assert "no consensus 'dice'" in refused.stderr
