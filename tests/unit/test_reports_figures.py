"""Every figure holds the numbers of the table it was given, and shows odd names as they are."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import calibration, confusion, fairness
from audit.compare import Comparison, compare
from audit.counts import Coded
from audit.family import compare_groups
from audit.standardise import label_mix
from faces.errors import InputError
from reports import figures
from reports.figures.heat import DARK_INK, LIGHT_INK
from reports.figures.theme import THEMES, shown
from tests.unit.stats_runs import predictions, run_of

CLASSES = ("angry", "happy", "<b>sad</b>")
ODD = "<a href='javascript:alert(1)'>x</a> & $y$ %{z}"


@pytest.fixture(scope="module")
def coded() -> Coded:
    rng = np.random.default_rng(0)
    n = 600
    label = rng.integers(0, 3, n)
    probabilities = rng.dirichlet(np.ones(3), n) + 1.5 * np.eye(3)[label]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    samples = pd.DataFrame(
        {
            "label": np.array(CLASSES)[label],
            "predicted": np.array(CLASSES)[probabilities.argmax(axis=1)],
            "status": "ok",
            "group": rng.choice(["man", "woman", ODD], n, p=[0.5, 0.48, 0.02]),
        }
    )
    return Coded.of(samples, CLASSES, ("group",), probabilities)


def _repeated(frame: pd.DataFrame, groups: int) -> pd.DataFrame:
    """The same curve for many groups, each with more images than the one before."""
    parts = [frame.assign(group=f"{place} {ODD}", n=frame["n"] + place) for place in range(groups)]
    return pd.concat(parts, ignore_index=True)


RANKED = pd.DataFrame(
    {
        "run": [ODD, "other"],
        "classes": 3,
        "n": 40,
        "accuracy": [0.8, 0.7],
        "low": 0.6,
        "high": 0.9,
        "published": [0.93, None],
        "published_low": [0.87, None],
        "published_high": [0.96, None],
        "meaning": [ODD, None],
    }
)


@pytest.fixture(scope="module")
def drawn(coded: Coded) -> dict[str, object]:
    """Every figure, by name, as a function of the theme."""
    counts, by_group = coded.counts(), coded.counts(("group",))
    rng = np.random.default_rng(0)
    compared = compare_groups(coded, ("group",))
    bins = coded.bins()
    assert bins is not None
    reliability = calibration.reliability(bins)
    quality = pd.DataFrame(
        {"group": by_group.groups, "n": 5, "q05": 1.0, "q25": 2.0, "q50": 3.0, "q75": 4.0, "q95": 5.0}
    )
    return {
        "confusion_matrix": lambda theme: figures.confusion_matrix(counts.confusion, CLASSES, theme=theme),
        "counts": lambda theme: figures.confusion_matrix(counts.confusion, CLASSES, "none", theme=theme),
        "per_class": lambda theme: figures.per_class(confusion.per_class(counts, rng), theme=theme),
        "pairs": lambda theme: figures.confusable_pairs(confusion.confusable_pairs(counts), theme=theme),
        "probabilities": lambda theme: figures.probabilities([0.2, 0.5, 0.3], CLASSES, "happy", theme=theme),
        "groups": lambda theme: figures.group_accuracy(compared.groups, 0.5, theme=theme),
        "macro_f1": lambda theme: figures.group_metric(compared.groups, "macro_f1", theme=theme),
        "ece": lambda theme: figures.group_metric(compared.groups, "ece", theme=theme),
        "classes": lambda theme: figures.class_by_group(compared.classes, "recall", theme=theme),
        "disparities": lambda theme: figures.disparities(compared.disparities, theme=theme),
        "reliability": lambda theme: figures.reliability(reliability, theme=theme),
        "reliability_by_group": lambda theme: figures.reliability_by_group(_repeated(reliability, 14), theme=theme),
        "confidence": lambda theme: figures.confidence(reliability, theme=theme),
        "composition": lambda theme: figures.composition(by_group.frame(), CLASSES, theme=theme),
        "label_mix": lambda theme: figures.label_mix(pd.DataFrame({"label": CLASSES, "n": [1, 2, 3]}), theme=theme),
        "quality": lambda theme: figures.image_quality(quality, "brightness", theme=theme),
        "leaderboard": lambda theme: figures.leaderboard(RANKED, theme=theme),
    }


@pytest.mark.parametrize("theme", THEMES)
def test_odd_names_are_text_in_every_figure(drawn: dict, theme: str) -> None:
    for name, draw in drawn.items():
        figure = draw(theme)
        visible = [figure.layout.xaxis.ticktext, figure.layout.yaxis.ticktext]
        visible += [trace.hovertext for trace in figure.data if "hovertext" in trace]
        visible += [trace.name for trace in figure.data]
        text = json.dumps(visible, default=list)
        assert "<a href" not in text, name
        assert "<b>sad" not in text, name
        assert figure.layout.meta["figure"], name
        assert figure.layout.height > 0, name


def test_both_themes_show_the_same_numbers(drawn: dict) -> None:
    for name, draw in drawn.items():
        light, dark = draw("light"), draw("dark")
        assert light.layout.font.color != dark.layout.font.color
        for one, other in zip(light.data, dark.data, strict=True):
            for axis in ("x", "y", "z"):
                assert repr(getattr(one, axis, None)) == repr(getattr(other, axis, None)), name


def test_an_unknown_theme_is_named() -> None:
    with pytest.raises(InputError, match="'blue' is not known; use one of light, dark"):
        figures.empty("nothing", theme="blue")


def test_confusion_matrix_holds_shares_of_the_label_and_true_names(coded: Coded) -> None:
    matrix = coded.counts().confusion
    figure = figures.confusion_matrix(matrix, CLASSES)
    heat = figure.data[0]
    np.testing.assert_allclose(np.array(heat.z, dtype=float), matrix / matrix.sum(axis=1, keepdims=True))
    assert tuple(heat.x) == tuple(heat.y) == CLASSES
    assert heat.customdata[0][1] == {"label": "angry", "predicted": "happy"}
    assert f"{matrix[0, 1]} of {matrix[0].sum()} images" in heat.hovertext[0][1]
    counted = figures.confusion_matrix(matrix, CLASSES, "none").data[0]
    assert np.array(counted.z).tolist() == matrix.tolist()


def test_a_label_without_images_has_an_empty_row() -> None:
    figure = figures.confusion_matrix(np.array([[0, 0], [1, 3]]), ("a", "b"))
    assert np.array(figure.data[0].z).tolist() == [[0, 0], [0.25, 0.75]]


def test_many_classes_leave_the_numbers_to_the_hover_text() -> None:
    assert len(figures.confusion_matrix(np.eye(13, dtype=int), [f"c{i}" for i in range(13)]).data) == 1


def test_group_figure_holds_values_bounds_and_sizes(coded: Coded) -> None:
    counts = coded.counts(("group",))
    frame = fairness.group_figures(counts, label_mix(coded.counts().labelled.sum(axis=0)), np.random.default_rng(0))
    raw, standard, overall = figures.group_accuracy(frame, 0.61).data
    np.testing.assert_allclose(raw.x, frame["accuracy"])
    np.testing.assert_allclose(np.array(raw.x) + raw.error_x.array, frame["high"])
    np.testing.assert_allclose(np.array(raw.x) - raw.error_x.arrayminus, frame["low"])
    np.testing.assert_allclose(np.array(standard.x, dtype=float), frame["standardised"])
    assert list(overall.x) == [0.61, 0.61]
    assert raw.customdata[0] == {"attribute": "group", "group": counts.groups[0]}
    labels = figures.group_accuracy(frame).layout.yaxis.ticktext
    for text, n, small in zip(labels, frame["n"], frame["too_small"], strict=True):
        assert f"n = {n}" in text
        assert ("too small" in text) == small
    assert any(frame["too_small"])
    low, high = figures.group_accuracy(frame, 0.0).layout.xaxis.range
    assert low <= 0
    assert high >= frame["high"].max()


def test_disparities_tell_significant_from_not(coded: Coded) -> None:
    frame = compare_groups(coded, ("group",)).disparities.head(4).assign(p_adjusted=[0.01, 0.2, np.nan, 0.04])
    frame["difference"] = [0.1, -0.1, 0.05, 0.02]
    clear, unclear, zero = figures.disparities(frame).data
    assert list(clear.x) == [0.1, 0.02]
    assert list(unclear.x) == [-0.1, 0.05]
    assert list(clear.y) == [0, 3]
    assert list(zero.x) == [0, 0]
    assert clear.customdata[0]["reference"] == frame["reference"].iloc[0]


def test_confidence_adds_up(coded: Coded) -> None:
    bins = coded.bins()
    assert bins is not None
    frame = calibration.reliability(bins)
    right, wrong = figures.confidence(frame).data
    assert sum(right.y) + sum(wrong.y) == len(coded)
    assert sum(right.y) == (coded.label == coded.predicted).sum()


def test_composition_rows_add_to_one(coded: Coded) -> None:
    heat = figures.composition(coded.counts(("group",)).frame(), CLASSES[::-1]).data[0]
    assert tuple(heat.x) == CLASSES[::-1]
    np.testing.assert_allclose(np.array(heat.z, dtype=float).sum(axis=1), 1)


def test_empty_tables_say_why(coded: Coded) -> None:
    compared = compare_groups(coded, ())
    for figure in (
        figures.group_accuracy(compared.groups),
        figures.class_by_group(compared.classes),
        figures.disparities(compared.disparities),
        figures.reliability(pd.DataFrame({"group": []})),
        figures.confusable_pairs(pd.DataFrame({"class_a": []})),
    ):
        assert figure.layout.annotations[0].text
        assert not figure.data


@given(st.text(max_size=80))
def test_a_name_never_becomes_markup(name: str) -> None:
    text = shown(name).replace("<br>", "")
    assert "<" not in text
    assert ">" not in text


def test_cell_numbers_can_be_read_on_their_colour() -> None:
    """WCAG 2's contrast of at least 4 to 1 on every shade of either theme."""
    from reports.figures.heat import _contrast, _luminance

    for theme in THEMES.values():
        for colours in (theme.sequential, theme.diverging):
            for one, other in pairwise(colours):
                for step in np.linspace(0, 1, 9):
                    start, end = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (one, other))
                    light = _luminance(start + step * (end - start))
                    inks = [_luminance([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (DARK_INK, LIGHT_INK)]
                    assert max(_contrast(light, ink) for ink in inks) >= 4


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    folder = tmp_path_factory.mktemp("compared")
    first, second = predictions(120, seed=1), predictions(120, seed=1)
    second["predicted"] = predictions(120, worse=0.2, seed=2)["predicted"]
    return compare(run_of(first, folder, "a"), run_of(second, folder, "b"))


@pytest.mark.parametrize("theme", THEMES)
def test_comparison_figures_hold_b_minus_a(comparison: Comparison, theme: str) -> None:
    before, after = comparison.confusion_a, comparison.confusion_b
    heat = figures.confusion_change(before, after, comparison.classes, theme=theme).data[0]
    np.testing.assert_allclose(np.array(heat.z, dtype=float), (after - before) / before.sum(axis=1, keepdims=True))
    assert heat.zmin == -heat.zmax
    dots = figures.changes(comparison.per_class, "class", theme=theme).data[0]
    np.testing.assert_allclose(dots.x, comparison.per_class["difference"])
    assert dots.customdata[0] == {"label": comparison.per_class["class"].iloc[0]}
    groups = figures.changes(comparison.groups, "group", theme=theme).data[0]
    assert set(groups.customdata[0]) == {"attribute", "group"}
    a, b, zero = figures.gaps_side_by_side(comparison.gaps, theme=theme).data
    assert len(a.x) == len(b.x) > 0
    assert list(zero.x) == [0, 0]


def test_runs_without_common_groups_say_so(comparison: Comparison) -> None:
    for figure in (
        figures.changes(comparison.groups.iloc[:0], "group"),
        figures.gaps_side_by_side(comparison.gaps.iloc[:0]),
    ):
        assert figure.layout.annotations[0].text


def test_the_reliability_of_many_groups_has_a_panel_each_and_of_more_the_largest(coded: Coded) -> None:
    bins = coded.bins()
    assert bins is not None
    one = calibration.reliability(bins)
    for groups, panels in ((4, 0), (5, 5), (14, 12)):
        figure = figures.reliability_by_group(_repeated(one, groups))
        notes = figure.layout.annotations or ()
        assert len(notes) == panels
        curves = [trace for trace in figure.data if trace.customdata is not None]
        assert len(curves) == (panels or groups)
        assert len({trace.xaxis for trace in curves}) == (panels or 1)
    assert notes[0].text.startswith("2 ")


def test_groups_too_small_and_shares_of_few_images_have_numbers_and_no_colour(coded: Coded) -> None:
    frame = fairness.class_figures(coded.counts(("group",)))
    size = frame.drop_duplicates("group").set_index("group")["selection_rate_n"]
    cells, text = figures.class_by_group(frame, "recall").data
    values = dict(zip(cells.y, cells.z, strict=True))
    words = {(y, x): told for y, x, told in zip(text.y, text.x, text.text, strict=True)}
    for row in frame.to_dict("records"):
        value = values[row["group"]][list(cells.x).index(row["class"])]
        if size[row["group"]] >= fairness.MIN_GROUP and row["recall_n"] >= 5:
            assert value == pytest.approx(row["recall"])
        else:
            assert value is None and words[row["group"], row["class"]].endswith(f"/{row['recall_n']}")
    assert size[ODD] < fairness.MIN_GROUP <= size["man"]
