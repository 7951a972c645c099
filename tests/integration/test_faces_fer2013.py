"""The real faces: FER-2013's archive with FER+'s votes, as the Kaggle layout has them."""

import time
import tracemalloc

import cv2
import numpy as np
import pytest

from faces.pixels import content_id, decode
from faces.readers import open_dataset
from faces.trees import open_tree

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def data(fer2013):
    return open_dataset(fer2013 / "archive.zip", fer2013 / "metadata.csv")


def test_everything_is_there_and_matched(data):
    assert len(data) == 32_132 and len(data.select("train")) == 28_553 and len(data.select("test")) == 3_579
    assert data.labels.names == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    assert (data.samples["status"] == "ok").all() and data.samples["sample_id"].is_unique
    assert data.attributes == ("apparent_age", "apparent_gender", "apparent_race")
    votes = data.samples.filter(like="votes_")
    assert votes.shape[1] == 10 and votes.notna().all().all()
    assert data.notes == (
        "32132 of 32132 images have a row in metadata.csv (32132 rows), joined by file name (image).",
    )


def test_it_opens_within_two_seconds_of_processor_time(fer2013):
    start = time.process_time()
    open_dataset(fer2013 / "archive.zip", fer2013 / "metadata.csv")
    assert time.process_time() - start < 2


def test_pixels_equal_a_plain_reading(data, fer2013):
    test = data.select("test")
    tree = open_tree(fer2013 / "archive.zip")
    for row, image in test.stream(range(0, len(test), 25)):
        plain = cv2.imdecode(np.frombuffer(tree.data(test.samples["sample_id"][row]), np.uint8), cv2.IMREAD_GRAYSCALE)
        assert image.shape == (48, 48, 1) and np.array_equal(image[:, :, 0], plain)


def test_decoding_ahead_is_no_slower_than_a_plain_loop_and_holds_little(data, fer2013):
    test = data.select("test")
    names = list(test.samples["sample_id"])
    tree = open_tree(fer2013 / "archive.zip")

    def plain() -> float:
        start = time.perf_counter()
        for name in names:
            decode(tree.data(name))
        return time.perf_counter() - start

    def ahead() -> float:
        start = time.perf_counter()
        assert sum(1 for _ in test.stream(range(len(test)))) == len(names)
        return time.perf_counter() - start

    ratios = sorted(ahead() / plain() for _ in range(3))
    assert ratios[0] < 1.1
    tracemalloc.start()
    for _ in test.stream(range(len(test))):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6


def test_there_are_duplicates_across_splits_some_with_other_labels(data):
    ids = [content_id(image) for _, image in data.stream(range(len(data)))]
    groups = data.samples.assign(content=ids).groupby("content")
    repeated = groups.filter(lambda rows: len(rows) > 1).groupby("content")
    assert repeated.ngroups == 1270
    assert (repeated["split"].nunique() > 1).sum() > 50
    assert (repeated["label"].nunique() > 1).sum() == 46
