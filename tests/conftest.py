"""What every test may ask for: the real faces, a run made from drawn faces, a Chromium."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from faces.synthetic import AnswerSheet, draw

# A busy machine fails no law, and equal code is always tried with equal examples.
settings.register_profile(
    "facevalue", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow], database=None
)
settings.load_profile("facevalue")

ROOT = Path(__file__).parent.parent
NO_SKIPS = bool(os.environ.get("FACEVALUE_NO_SKIPS"))
MUST_RUN = ("browser", "realdata")


def fer2013_folder() -> Path:
    return Path(os.environ.get("FACEVALUE_FER2013", ROOT.parent / "shared" / "data" / "fer2013"))


@pytest.fixture(scope="session")
def fer2013() -> Path:
    """The folder with archive.zip and metadata.csv."""
    folder = fer2013_folder()
    if not (folder / "archive.zip").is_file():
        pytest.skip(f"the real faces are not at {folder}")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium."""
    named = os.environ.get("FACEVALUE_CHROMIUM")
    found = named or next(
        (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
    )
    if found is None:
        pytest.skip("no Chromium was found; set FACEVALUE_CHROMIUM")
    return found


@dataclass(frozen=True)
class Drawn:
    """Drawn faces with planted faults, a small classifier trained on them, and its audit on the test part."""

    data: Path
    sheet: AnswerSheet
    model: Path
    run: Path


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Drawn:
    """Some seconds of training; read only: copy the run before changing it."""
    from audit import AuditOptions, audit
    from faces.readers import open_dataset
    from models.checkpoints import load
    from training.fit import train
    from training.recipe import load_recipe

    folder = tmp_path_factory.mktemp("drawn")
    sheet = draw(
        folder / "faces",
        n=900,
        size=48,
        seed=7,
        flipped=0.06,
        worse_group=("skin_tone", "dark"),
        duplicates=9,
        unreadable=4,
    )
    recipe = load_recipe("drawn-tiny")
    recipe = recipe.model_copy(update={"learn": recipe.learn.model_copy(update={"epochs": 4})})
    dataset = open_dataset(folder / "faces", folder / "faces" / "metadata.csv")
    train(recipe, dataset, folder / "model", progress=False)
    audit(dataset.select("test"), load(folder / "model"), AuditOptions(progress=False), folder / "run")
    return Drawn(folder / "faces", sheet, folder / "model", folder / "run")


_ran: dict[str, int] = dict.fromkeys(MUST_RUN, 0)
_skipped: list[str] = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo):
    report = (yield).get_result()
    markers = [name for name in MUST_RUN if item.get_closest_marker(name)]
    if report.skipped and markers:
        _skipped.append(item.nodeid)
    if report.when == "call" and report.passed:
        for name in markers:
            _ran[name] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Under FACEVALUE_NO_SKIPS a skipped browser or real-data test, or none at all, fails the run."""
    missing = [name for name, number in _ran.items() if not number]
    if NO_SKIPS and not session.config.option.collectonly and (_skipped or missing) and session.exitstatus == 0:
        for nodeid in _skipped:
            print(f"\nskipped where it must run: {nodeid}")
        for name in missing:
            print(f"\nno {name} test ran")
        session.exitstatus = 1
