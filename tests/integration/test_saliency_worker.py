"""Maps of a run's samples: stored, computed in this process, and computed by the child process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from audit import AuditOptions, AuditRun, audit
from audit.saliency.registry import METHODS
from audit.worker import WAITING, Worker
from faces.errors import InputError
from faces.readers import open_dataset
from faces.synthetic import draw
from models.checkpoints import load, save
from tests.audit_networks import made

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> AuditRun:
    folder = tmp_path_factory.mktemp("worker")
    draw(folder / "faces", n=35, size=48, seed=1)
    save(made("tiny"), folder / "model", {"network": {"name": "tiny", "channels": 1}})
    dataset = open_dataset(folder / "faces", folder / "faces" / "metadata.csv")
    return audit(dataset, load(folder / "model"), AuditOptions(progress=False), folder / "run")


def first(run: AuditRun) -> str:
    return str(run.samples["sample_id"][0])


def test_a_stored_map_is_read(run: AuditRun) -> None:
    found = run.saliency(first(run), "gradcam", "joy")
    store = run.maps("gradcam")
    assert np.array_equal(found.map, store.raw(0, store.targets.index("happy")))
    assert found.image is not None and found.image.shape == (48, 48, 3)
    contrast = run.saliency(first(run), "hirescam", "fear-minus-surprise")
    assert np.allclose(contrast.map, store.raw(0, 2) - store.raw(0, 5), atol=1e-3 * np.abs(store.raw(0, 2)).max())
    own = run.saliency(first(run), "layercam", "label")
    assert own.target == run.samples["label"][0] and own.map.shape == (6, 6)


@pytest.mark.parametrize("target", ["predicted", "label", "sad-minus-neutral"])
def test_stored_and_computed_maps_are_the_same(run: AuditRun, target: str) -> None:
    from audit.saliency.of_run import computed_map

    for row in (0, 17, 34):
        sample_id = str(run.samples["sample_id"][row])
        stored = run.saliency(sample_id, "gradcam", target).map
        computed = computed_map(run, sample_id, "gradcam", target)
        assert np.allclose(stored, computed, atol=2e-3 * np.abs(computed).max())


def test_the_figure_says_what_is_shown(run: AuditRun) -> None:
    found = run.saliency(first(run), "gradcam", "sad-minus-neutral")
    figure = found.figure()
    heat = figure.data[1]
    assert heat.zmin == -heat.zmax and heat.zmax == pytest.approx(np.abs(found.enlarged()).max())
    assert "Grad-CAM for sad rather than neutral" in figure.layout.title.text
    assert len(run.saliency(first(run), "occlusion").figure().data) == 2


def test_show_hands_the_same_figure_to_the_notebook(run: AuditRun, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list = []
    monkeypatch.setattr("plotly.io.show", shown.append)
    found = run.saliency(first(run))
    found.show(opacity=0.3)
    assert len(shown) == 1 and shown[0].to_json() == found.figure(0.3).to_json()
    assert shown[0].data[1].opacity == 0.3


def test_what_is_not_there_is_named(run: AuditRun) -> None:
    with pytest.raises(InputError, match="no sample 'nobody'"):
        run.saliency("nobody")
    with pytest.raises(InputError, match="'bored' is not one of angry"):
        run.saliency(first(run), "gradcam", "bored")
    with pytest.raises(InputError, match="'gradcan' is not one of gradcam"):
        run.saliency(first(run), "gradcan")


@pytest.fixture(scope="module")
def worker():
    found = Worker(idle_s=60)
    yield found
    found.close()


@pytest.mark.parametrize("method", ["scorecam", "occlusion", "layercam"])
def test_the_child_gives_what_this_process_gives(run: AuditRun, worker: Worker, method: str) -> None:
    ours = run.saliency(first(run), method, "surprise").map
    theirs = worker.saliency(run.folder, first(run), method, "surprise")
    assert theirs.dtype == np.float32 and np.allclose(ours, theirs, atol=1e-4 * np.abs(ours).max())


def test_the_childs_errors_are_the_callers(run: AuditRun, worker: Worker) -> None:
    with pytest.raises(InputError, match="'bored' is not one of angry"):
        worker.saliency(run.folder, first(run), "gradcam", "bored")
    with pytest.raises(InputError, match="cannot be computed"):
        worker.ask("audit.saliency.of_run", "answer", 1)
    with pytest.raises(InputError, match="ModuleNotFoundError: No module named 'audit.gone'"):
        worker.ask("audit.gone", "answer")
    assert worker.running


def test_a_child_that_dies_is_replaced(run: AuditRun, worker: Worker) -> None:
    with pytest.raises(InputError, match="process that computes maps ended"):
        worker.ask("os", "_exit", 3)
    assert worker.saliency(run.folder, first(run), "gradcam", "sad").shape == (6, 6)


def test_only_so_many_wait_in_line() -> None:
    worker = Worker(waiting=1)
    asked = threading.Thread(target=worker.ask, args=("time", "sleep", 1.5))
    asked.start()
    time.sleep(0.3)
    with pytest.raises(InputError, match="Too many maps"):
        worker.ask("time", "sleep", 0)
    asked.join()
    worker.close()
    assert not worker.running


def test_what_takes_too_long_is_given_up_and_an_idle_child_is_stopped() -> None:
    worker = Worker(idle_s=0.2, timeout_s=20)
    assert worker.ask("os.path", "basename", "a/b") == "b"
    for _ in range(100):
        if not worker.running:
            break
        time.sleep(0.1)
    assert not worker.running
    worker.timeout_s = 1.0
    with pytest.raises(InputError, match="longer than 1 s"):
        worker.ask("time", "sleep", 30)
    assert not worker.running


def test_the_time_in_line_counts() -> None:
    worker = Worker(timeout_s=20)
    worker.ask("time", "sleep", 0)
    worker.timeout_s = 2.0
    told: list[str] = []

    def ask() -> None:
        started = time.monotonic()
        try:
            worker.ask("time", "sleep", 1.5)
        except InputError as error:
            told.append(str(error))
        assert time.monotonic() - started < 5

    threads = [threading.Thread(target=ask) for _ in range(WAITING)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert time.monotonic() - started < 5
    assert len(told) >= WAITING - 1 and any("turn did not come within 2 s" in sentence for sentence in told)
    worker.close()


def test_a_child_that_does_not_read_is_given_up() -> None:
    """What is sent is more than a pipe holds."""
    worker = Worker(timeout_s=20)
    child = worker.ask("os", "getpid")
    os.kill(child, signal.SIGSTOP)
    worker.timeout_s = 1.0
    with pytest.raises(InputError, match="longer than 1 s"):
        worker.ask("operator", "length_hint", bytes(4 * 1024 * 1024))
    assert not worker.running
    worker.timeout_s = 20
    assert worker.ask("os", "getpid") != child
    worker.close()


def test_the_parent_needs_no_torch(run: AuditRun) -> None:
    program = (
        "import sys; from audit import AuditRun; from audit.worker import Worker\n"
        "if __name__ == '__main__':\n"
        f" run = AuditRun.open({str(run.folder)!r}); w = Worker()\n"
        " sample = run.samples['sample_id'][0]\n"
        " run.saliency(sample).figure()\n"
        " assert w.saliency(run.folder, sample, 'occlusion', 'sad').shape == (48, 48)\n"
        " w.close(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0


def test_every_method_can_be_had_for_a_sample_of_a_run(run: AuditRun) -> None:
    for name in METHODS:
        assert np.isfinite(run.saliency(first(run), name).map).all()
