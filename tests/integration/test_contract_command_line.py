"""The forms of the command line that the design fixes, on drawn faces."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from faces.readers import open_dataset
from tests.conftest import Drawn
from tests.integration.test_front_door import Done, facevalue
from training.recipe import FOLDER

__all__ = ["facevalue"]

ALPHABETICAL = "angry,disgust,fear,happy,neutral,sad,surprise"
PUBLISHED = "angry,disgust,fear,happy,sad,surprise,neutral"


def samples(run: Path) -> pd.DataFrame:
    return pd.read_parquet(run / "samples.parquet")


BY_BRIGHTNESS = """
import torch


class ByBrightness(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.smooth = torch.nn.AvgPool2d(8)
        self.steps = torch.nn.Linear(1, 7)
        steps = (torch.arange(7) * 30 + 30) / 255
        self.steps.weight.data = 4000 * steps[:, None]
        self.steps.bias.data = -2000 * steps**2

    def forward(self, x):
        return self.steps(self.smooth(x).mean((2, 3)))


def build():
    return ByBrightness()
"""


def test_a_wrong_class_order_is_found_and_the_right_one_printed(tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    """A model whose outputs are in FER-2013's order, audited as if they were in the folders' alphabetical one."""
    rng = np.random.default_rng(0)
    for position, name in enumerate(PUBLISHED.split(",")):
        (tmp_path / "faces" / name).mkdir(parents=True)
        for number in range(12):
            pixels = np.clip(30 + 30 * position + rng.normal(0, 12, (48, 48)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / "faces" / name / f"{number}.png"), pixels)
    (tmp_path / "net.py").write_text(BY_BRIGHTNESS)
    model = ("--model", f"factory:{tmp_path / 'net.py'}:build", "--input", "48x48,gray,0..1")
    for order, found in ((ALPHABETICAL, True), (PUBLISHED, False)):
        out = tmp_path / f"run-{found}"
        facevalue("audit", tmp_path / "faces", *model, "--classes", order, "--out", out)
        facts = json.loads(facevalue("show", out, "--json").stdout)
        told = [one["detail"] for one in facts["findings"] if "class order" in one["title"].lower()]
        assert len(told) == found
        assert all(f"--classes {PUBLISHED}" in detail for detail in told)


def test_a_folder_an_archive_and_manifests_give_the_same_audit(
    drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done]
) -> None:
    dataset = open_dataset(drawn.data).select("test", 40)
    table = dataset.samples[["path", "label", "split"]]
    for path in table["path"]:
        (tmp_path / "faces" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(drawn.data / path, tmp_path / "faces" / path)
    with tarfile.open(tmp_path / "faces.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "faces", ".")
    table.rename(columns={"label": "said"}).to_csv(tmp_path / "faces" / "table.csv", index=False)
    table.rename(columns={"label": "said"}).to_parquet(tmp_path / "faces" / "table.parquet")
    outcomes = []
    for number, data in enumerate(("faces", "faces.tar.gz", "faces/table.csv", "faces/table.parquet")):
        label = ("--label", "said") if "table" in data else ()
        out = tmp_path / f"run{number}"
        facevalue("audit", tmp_path / data, *label, "--model", drawn.model, "--out", out)
        outcome = samples(out).sort_values("path")[["content_id", "label", "predicted", "confidence"]]
        outcomes.append(outcome.reset_index(drop=True))
    for outcome in outcomes[1:]:
        pd.testing.assert_frame_equal(outcomes[0], outcome)


def test_a_committee_speaks_of_labels_alone(drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    call = ("audit", drawn.data, "--split", "test", "--model", drawn.model, "--limit", 80, "--classes", ALPHABETICAL)
    facevalue(*call, "--out", tmp_path / "alone")
    facevalue(*call, "--out", tmp_path / "asked", "--committee", drawn.model, drawn.model)
    alone, asked = samples(tmp_path / "alone"), samples(tmp_path / "asked")
    pd.testing.assert_series_equal(alone["predicted"], asked["predicted"])
    assert not np.allclose(alone["label_issue_score"], asked["label_issue_score"], equal_nan=True)
    said = np.load(tmp_path / "asked" / "committee.npy")
    assert said.shape == (80, 2, 7)
    other = np.load(tmp_path / "alone" / "probabilities.npy")
    columns = [PUBLISHED.split(",").index(name) for name in ALPHABETICAL.split(",")]
    assert np.allclose(said[:, 0], other[:, columns], atol=1e-6, equal_nan=True)


def test_the_report_finds_moved_faces(drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    run = shutil.copytree(drawn.run, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text())
    manifest["data"] |= {"path": str(tmp_path / "gone"), "relative_path": "gone"}
    (run / "manifest.json").write_text(json.dumps(manifest))
    refused = facevalue("report", run, "--faces", "--out", tmp_path / "none", code=2)
    assert "--data" in refused.stderr
    facevalue("report", run, "--faces", "--data", drawn.data, "--out", tmp_path / "report")
    assert (tmp_path / "report" / "report.html").is_file()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["nonsense"], "No such command 'nonsense'"),
        (["show"], "Missing argument 'RUN'"),
        (["show", "x", "--bogus"], "No such option: --bogus"),
        (["audit", "d", "--out", "o", "--limit", "abc"], "'abc'"),
        (["audit", "d", "more", "--model", "m", "--out", "o"], "'more' is one word too many"),
        (["serve", "x", "--port", "70000"], "'--port'"),
    ],
)
def test_a_call_that_cannot_be_understood_gets_one_sentence(
    facevalue: Callable[..., Done], words: list[str], says: str
) -> None:
    done = facevalue(*words, code=2)
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not done.stdout


def test_damaged_weights_are_named(drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    file = tmp_path / "some.safetensors"
    file.write_bytes((drawn.model / "weights.safetensors").read_bytes()[:900])
    done = facevalue("audit", drawn.data, "--model", file, "--out", tmp_path / "run", code=2)
    assert str(file) in done.stderr and "safetensors" in done.stderr and "ONNX" not in done.stderr


def test_groups_of_a_sidecar_are_balanced(drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    recipe = tmp_path / "my_recipe.toml"
    shipped = (FOLDER / "drawn-tiny.toml").read_text()
    balanced = shipped.replace("[data]", '[data]\nbalance_groups = "skin_tone"')
    recipe.write_text(re.sub(r"epochs = \d+", "epochs = 1", balanced))
    (tmp_path / "faces").mkdir()
    for part in ("train", "test"):
        (tmp_path / "faces" / part).symlink_to(drawn.data / part)
    call = ("train", recipe, "--data", tmp_path / "faces", "--out", tmp_path / "model")
    assert "join it with --metadata" in facevalue(*call, code=2).stderr
    facevalue(*call, "--metadata", drawn.data / "metadata.csv")
    card = json.loads((tmp_path / "model" / "card.json").read_text())
    assert (card["name"], card["recipe"]["data"]["balance_groups"]) == ("my-recipe", "skin_tone")


def test_a_home_that_nobody_has_is_no_file(drawn: Drawn, tmp_path: Path, facevalue: Callable[..., Done]) -> None:
    done = facevalue("explain", "~nobody-here/a.jpg", "--model", drawn.model, "--out", tmp_path / "a.png", code=2)
    assert "~nobody-here/a.jpg is not a file" in done.stderr
    done = facevalue("explain", "a.jpg", "--model", "~nobody-here/m", "--out", tmp_path / "a.png", code=2)
    assert "'~nobody-here/m' is not there" in done.stderr
