"""For whom: accuracy by group, raw and standardised, classes by group, and differences between groups."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import numpy as np
import pandas as pd
from dash import html
from dash.development.base_component import Component

from audit.counts import CROSS
from dashboard.components import controls, shell
from dashboard.components.attributes import Child, aria
from dashboard.components.charts import graph
from dashboard.components.tables import Column, table
from dashboard.pages import fairness_further as further
from dashboard.query import Query
from dashboard.state import View
from reports.words import percent, probability, signed, signed_span, spaced, span, whole

PATH, TITLE, ICON = "/fairness", "Fairness", "fairness"
METRICS = (
    ("recall", "recall"),
    ("precision", "precision"),
    ("false_positive_rate", "false positive rate"),
    ("selection_rate", "selection rate (called so)"),
)
BY_GROUP = (
    ("accuracy", "accuracy"),
    ("balanced_accuracy", "balanced accuracy"),
    ("macro_f1", "macro F1"),
    ("top2_accuracy", "top-2 accuracy"),
    ("mean_confidence", "mean confidence"),
    ("ece_debiased", "calibration error (debiased)"),
    ("vote_agreement", "agreement with votes"),
)
SMALLEST = 30


class Ids(StrEnum):
    """Components of this page."""

    CONTROLS = "fairness-controls"
    BODY = "fairness-body"


def layout(view: View) -> Component:
    """Controls, then figures and tables of the chosen attribute."""
    if not view.run.attributes:
        reason = (
            "The data says nothing about the people pictured; audit again with --metadata and a table of attributes."
        )
        return shell.page(TITLE, "For whom the model works.", shell.message("No attributes", reason))
    return shell.page(
        TITLE,
        "For whom the model works. Raw gaps mix how well a group is recognised with which emotions it shows.",
        html.Div(choices(view), id=Ids.CONTROLS),
        html.Div(body(view), id=Ids.BODY),
    )


def attributes(view: View) -> list[str]:
    """Attributes and intersections that the run counted, single ones first."""
    known = list(view.served.table("groups")["attribute"].unique())
    return sorted(
        known,
        key=lambda name: (CROSS in name, view.run.attributes.index(name) if name in view.run.attributes else 0, name),
    )


def attribute_of(view: View) -> str:
    """The attribute that the address names; the first where it names none."""
    names = attributes(view)
    return view.query.choice("attribute", tuple(names), names[0])


def reference_of(view: View, attribute: str) -> str:
    """The reference group: the one the address names, else the audit's own (the largest)."""
    groups = _rows(view, "groups", attribute)["group"].tolist()
    own = view.run.result("fairness")["references"].get(attribute, groups[0])
    return view.query.choice("reference", tuple(groups), own)


def choices(view: View) -> Component:
    """Attribute, metric, reference group, smallest group."""
    attribute = attribute_of(view)
    groups = _rows(view, "groups", attribute)["group"].tolist()
    own = view.run.result("fairness")["references"].get(attribute, groups[0])
    pickers = [
        controls.select(
            "attribute",
            "Attribute",
            [(name, spaced(name)) for name in attributes(view)],
            attribute,
            attributes(view)[0],
        ),
        controls.select("show", "Figure by group", _shown(view, attribute), view.query.get("show"), "accuracy"),
        controls.select("metric", "Metric by class", METRICS, view.query.get("metric"), "recall"),
        controls.select("reference", "Compared with", groups, reference_of(view, attribute), own),
        controls.number(
            "minimum", "Smallest group", view.query.number("minimum", SMALLEST, 1, 100000), SMALLEST, 1, 100000
        ),
    ]
    return html.Section(
        html.Div(pickers, className="controls wide"), className="section filters", **aria(label="Choices")
    )


def _shown(view: View, attribute: str) -> list[tuple[str, str]]:
    frame = _rows(view, "groups", attribute)
    return [(name, title) for name, title in BY_GROUP if name in frame and frame[name].notna().any()]


def body(view: View) -> Component:
    """Everything about the chosen attribute."""
    attribute = attribute_of(view)
    return html.Div(
        [
            forest(view, attribute),
            by_class(view, attribute),
            differences(view, attribute),
            further.parts_of_gaps(view, attribute),
            further.other_views(view, attribute),
            further.calibration(view, attribute),
            further.favourable(view, attribute),
            further.weak_slices(view),
            notes(view),
        ]
    )


def forest(view: View, attribute: str) -> Component:
    """Raw and standardised accuracy of every group, as figure and as table."""
    from audit.summary import accuracy
    from reports import figures

    frame = _rows(view, "groups", attribute)
    overall = accuracy(view.served.counts().confusion)["value"]
    minimum = view.query.number("minimum", SMALLEST, 1, 100000)
    frame = frame.assign(too_small=frame["n"] < minimum)
    shown = view.query.choice("show", tuple(name for name, _ in _shown(view, attribute)), "accuracy")
    figure = (
        figures.group_accuracy(frame, overall, theme=view.theme)
        if shown == "accuracy"
        else figures.group_metric(frame, shown, theme=view.theme)
    )
    columns = [
        Column("group", "Group", lambda row: images_link(view, row["group"], attribute=attribute, group=row["group"])),
        Column("n", "Images", lambda row: whole(row["n"]) + (" (too small)" if row["too_small"] else ""), number=True),
        Column("accuracy", "Accuracy", lambda row: percent(row["accuracy"]), number=True),
        Column("low", "95% interval", lambda row: span(row["low"], row["high"]), number=True),
        Column("standardised", "Standardised", _standardised, number=True),
        Column(
            "standardised_low",
            "95% interval",
            lambda row: span(row["standardised_low"], row["standardised_high"]),
            number=True,
        ),
        Column("balanced_accuracy", "Balanced accuracy", lambda row: percent(row["balanced_accuracy"]), number=True),
        Column("macro_f1", "Macro F1", lambda row: percent(row["macro_f1"]), number=True),
    ]
    note = (
        "Standardised: each group's recall by class, weighted by the whole set's label mix, so that who smiles more "
        "does not count as accuracy."
    )
    return shell.section(
        f"{dict(BY_GROUP)[shown].capitalize()} by {spaced(attribute)}",
        graph("group_accuracy", figure, "/saliency", f"Accuracy by {attribute}; the table below has the same figures"),
        table(view, PATH, frame, columns, f"Groups of {spaced(attribute)}", sort="groups"),
        note=note,
    )


def _standardised(row: dict) -> Child:
    reason = row.get("reason")
    if isinstance(reason, str):
        return html.Abbr("undefined", title=reason)
    left_out = list(row["omitted"]) if row["omitted"] is not None else []
    value = percent(row["standardised"])
    return html.Abbr(f"{value} *", title=f"without {', '.join(left_out)}: under 5 images") if left_out else value


def by_class(view: View, attribute: str) -> Component:
    """One metric by class and group."""
    from reports import figures

    metric = view.query.choice("metric", tuple(name for name, _ in METRICS), "recall")
    frame = _rows(view, "class_groups", attribute)
    figure = figures.class_by_group(frame, metric, theme=view.theme)
    for trace in figure.select_traces(selector={"type": "heatmap"}):
        trace.customdata = [[{"attribute": attribute, **cell} for cell in row] for row in trace.customdata]
    title = dict(METRICS)[metric]
    return shell.section(
        f"{title[0].upper()}{title[1:]} of each class",
        graph("class_by_group", figure, "/saliency", f"{title} by class and group"),
        note="A cell leads to its images.",
    )


def differences(view: View, attribute: str) -> Component:
    """Every group against the reference."""
    frame = compared(view, attribute)
    reference, shown = reference_of(view, attribute), view.query.choice("rows", ("", "all"), "")
    if frame.empty:
        return shell.section("Differences", shell.message("Nothing to compare", "There is only one group."))
    columns = [
        Column(
            "group",
            "Group",
            lambda row: images_link(
                view,
                row["group"],
                attribute=attribute,
                group=row["group"],
                label=row["class"] if isinstance(row["class"], str) else None,
            ),
        ),
        Column(
            "metric",
            "Metric",
            lambda row: spaced(row["metric"]) + (f" of {row['class']}" if isinstance(row["class"], str) else ""),
        ),
        Column("n_group", "Images", lambda row: f"{whole(row['n_group'])} / {whole(row['n_reference'])}", number=True),
        Column("difference", "Difference", lambda row: signed(row["difference"]), number=True),
        Column(
            "difference_low",
            "95% interval",
            lambda row: signed_span(row["difference_low"], row["difference_high"]),
            number=True,
        ),
        Column(
            "ratio", "Ratio", lambda row: f"{row['ratio']:.2f}" if row["ratio"] == row["ratio"] else "–", number=True
        ),
        Column("p_adjusted", "Adjusted p", lambda row: probability(row["p_adjusted"]), number=True),
    ]
    return shell.section(
        f"Differences to {reference}",
        *difference_figure(view, frame),
        controls.segmented(
            "rows", "The table shows", (("", "accuracy and the chosen metric"), ("all", "every metric")), shown, ""
        ),
        table(view, PATH, frame, columns, f"Differences to {reference}, in points; images: group / reference"),
        note=difference_note(view, attribute, reference),
    )


def difference_figure(view: View, frame: pd.DataFrame) -> list[Component]:
    """The gaps in standardised accuracy, drawn."""
    from reports import figures

    gaps = frame[frame["metric"] == "standardised_accuracy"]
    return [
        graph(
            "disparities",
            figures.disparities(gaps, theme=view.theme),
            "/saliency",
            "Differences in standardised accuracy; the table has all",
        )
    ]


def difference_note(view: View, attribute: str, reference: str) -> str:
    """Which tests were made, and that another reference is exploration."""
    own = view.run.result("fairness")["references"].get(attribute)
    if reference == own:
        return "Adjusted p: Holm over the audit's declared family of tests; the null is equal recall within each label."
    return f"The audit's own tests compare with {own}; against another group no test was declared, so none is shown."


def compared(view: View, attribute: str) -> pd.DataFrame:
    """The differences to the chosen reference: the audit's own, or counted anew for another.

    Groups under the chosen size are left out, and so are metrics other than accuracy and the chosen one unless the
    address asks for all.
    """
    reference = reference_of(view, attribute)
    minimum = view.query.number("minimum", SMALLEST, 1, 100000)
    frame = _rows(view, "disparities", attribute)
    if reference not in set(frame["reference"]):
        from audit import fairness

        mix = np.array([view.run.result("fairness")["mix"][name] for name in view.run.classes])
        frame = fairness.disparities(view.served.counts(attribute), mix, reference, minimum).assign(p_adjusted=np.nan)
    sizes = _rows(view, "groups", attribute).set_index("group")["n"]
    large = frame["group"].map(sizes) >= minimum
    metrics = {"accuracy", "standardised_accuracy", view.query.get("metric", "recall")}
    wanted = frame["metric"].isin(metrics) | (view.query.get("rows") == "all")
    return frame[large & wanted].dropna(subset=["difference"])


def notes(view: View) -> Component:
    """What must be known to judge these figures."""
    from audit.fairness import MIN_GROUP

    facts = view.run.result("fairness")
    sentences = [
        facts["independence"],
        f"Groups under {MIN_GROUP} images are never tested. {facts['family']} tests were declared; alarms are raised "
        f"at an adjusted p under {facts['alpha']}.",
        "Attributes called apparent were guessed by a program or an onlooker, and are wrong for some people.",
    ]
    return shell.section(
        "How to read this", html.Ul([html.Li(sentence) for sentence in sentences], className="plain-list")
    )


def images_link(view: View, words: str, **values: str | None) -> Component:
    """A link to the images behind a figure."""
    return html.A(words, href=view.href("/saliency", Query().change(**values)))


def _rows(view: View, name: str, attribute: str) -> pd.DataFrame:
    frame = view.served.table(name)
    return frame[frame["attribute"] == attribute]


REGIONS: dict[str, Callable[[View], Component]] = {Ids.CONTROLS: choices, Ids.BODY: body}
