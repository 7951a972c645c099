"""For whom: accuracy by group, raw and standardised, classes by group, and differences between groups."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

import pandas as pd
from dash import html
from dash.development.base_component import Component

from dashboard.components import controls, shell
from dashboard.components.attributes import Child, aria
from dashboard.components.charts import graph
from dashboard.components.tables import Column, table
from dashboard.groups import Chosen, attributes, audited_reference, rows, smallest
from dashboard.pages import fairness_further as further
from dashboard.query import Query
from dashboard.state import View
from reports.words import decimal, known, percent, probability, signed, signed_span, spaced, span, whole

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


def choices(view: View) -> Component:
    """Attribute, metric, reference group, smallest group."""
    chosen, names = Chosen.of(view), attributes(view)
    groups = chosen.table("groups")["group"].tolist()
    own, least = audited_reference(view, chosen.attribute), smallest(view)
    pickers = [
        controls.select("attribute", "Attribute", [(name, spaced(name)) for name in names], chosen.attribute, names[0]),
        controls.select("show", "Figure by group", _shown(chosen), view.query.get("show"), "accuracy"),
        controls.select("metric", "Metric by class", METRICS, view.query.get("metric"), "recall"),
        controls.select("reference", "Compared with", groups, chosen.reference, own),
        controls.number("minimum", "Smallest group", chosen.minimum, least, 1, 100_000),
    ]
    return html.Section(
        html.Div(pickers, className="controls wide"), className="section filters", **aria(label="Choices")
    )


def _shown(chosen: Chosen) -> list[tuple[str, str]]:
    frame = chosen.table("groups")
    return [(name, title) for name, title in BY_GROUP if name in frame and frame[name].notna().any()]


def body(view: View) -> Component:
    """Everything about the chosen attribute."""
    chosen = Chosen.of(view)
    return html.Div(
        [
            forest(chosen),
            by_class(chosen),
            differences(chosen),
            further.parts_of_gaps(chosen),
            further.other_views(chosen),
            further.calibration(view, chosen.attribute),
            further.favourable(view, chosen.attribute),
            further.weak_slices(view),
            further.remedies(view, chosen.attribute),
            notes(view),
        ]
    )


def forest(chosen: Chosen) -> Component:
    """Raw and standardised accuracy of every group, as figure and as table."""
    from audit.summary import accuracy
    from reports import figures

    view, attribute, frame = chosen.view, chosen.attribute, chosen.groups()
    overall = accuracy(view.served.counts().confusion)["value"]
    shown = view.query.choice("show", tuple(name for name, _ in _shown(chosen)), "accuracy")
    figure = (
        figures.group_accuracy(frame, overall, theme=view.theme)
        if shown == "accuracy"
        else figures.group_metric(frame, shown, theme=view.theme)
    )
    columns = [
        Column("group", "Group", lambda row: images_link(view, row["group"], attribute=attribute, group=row["group"])),
        Column("n", "Images", further.size, number=True),
        Column("accuracy", "Accuracy", lambda row: _judged(row, "accuracy"), number=True),
        Column("low", "95% interval", lambda row: span(row["low"], row["high"]), number=True),
        Column("standardised", "Standardised", _standardised, number=True),
        Column(
            "standardised_low",
            "95% interval",
            lambda row: span(row["standardised_low"], row["standardised_high"]),
            number=True,
        ),
        Column("balanced_accuracy", "Balanced accuracy", lambda row: _judged(row, "balanced_accuracy"), number=True),
        Column("macro_f1", "Macro F1", lambda row: _judged(row, "macro_f1"), number=True),
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


def _judged(row: dict, name: str) -> str:
    """One of one is no 100%: of a group too small to judge only the interval is given."""
    return "too small" if row["too_small"] else percent(row[name])


def _standardised(row: dict) -> Child:
    if row["too_small"]:
        return _judged(row, "standardised")
    reason = row.get("reason")
    if isinstance(reason, str):
        return html.Abbr("undefined", title=reason)
    left_out = list(row["omitted"]) if row["omitted"] is not None else []
    value = percent(row["standardised"])
    return html.Abbr(f"{value} *", title=f"without {', '.join(left_out)}: under 5 images") if left_out else value


def by_class(chosen: Chosen) -> Component:
    """One metric by class and group."""
    from reports import figures

    view, attribute = chosen.view, chosen.attribute
    metric = view.query.choice("metric", tuple(name for name, _ in METRICS), "recall")
    frame = rows(view, "class_groups", attribute)
    figure = figures.class_by_group(frame, metric, chosen.minimum, theme=view.theme)
    for trace in figure.select_traces(selector={"type": "heatmap"}):
        trace.customdata = [[{"attribute": attribute, **cell} for cell in row] for row in trace.customdata]
    title = dict(METRICS)[metric]
    return shell.section(
        f"{title[0].upper()}{title[1:]} of each class",
        graph("class_by_group", figure, "/saliency", f"{title} by class and group"),
        note="A cell leads to its images. Groups too small to judge, and shares of under 5 images, are numbers without "
        "colour.",
    )


def differences(chosen: Chosen) -> Component:
    """Every group against the reference."""
    view, frame = chosen.view, compared(chosen)
    shown = view.query.choice("rows", ("", "all"), "")
    if frame.empty:
        return shell.section("Differences", shell.message("Nothing to compare", "There is only one group."))
    columns = [
        Column("group", "Group", lambda row: _pair_link(chosen, row)),
        Column("metric", "Metric", _metric),
        Column("n_group", "Images", _sizes, number=True),
        Column("difference", "Difference", lambda row: signed(row["difference"]), number=True),
        Column("difference_low", "95% interval", _gap_span, number=True),
        Column("ratio", "Ratio (95% interval)", _ratio, number=True),
        Column("p_adjusted", "Adjusted p", lambda row: probability(row["p_adjusted"]), number=True),
    ]
    caption = f"Differences to {chosen.reference}, in points; images: group / reference"
    return shell.section(
        f"Differences to {chosen.reference}",
        *difference_figure(view, frame),
        controls.segmented(
            "rows", "The table shows", (("", "accuracy and the chosen metric"), ("all", "every metric")), shown, ""
        ),
        table(view, PATH, frame, columns, caption),
        note=difference_note(chosen),
    )


def _pair_link(chosen: Chosen, row: dict) -> Component:
    label = row["class"] if isinstance(row["class"], str) else None
    return images_link(chosen.view, row["group"], attribute=chosen.attribute, group=row["group"], label=label)


def _metric(row: dict) -> str:
    return spaced(row["metric"]) + (f" of {row['class']}" if isinstance(row["class"], str) else "")


def _sizes(row: dict) -> str:
    return f"{whole(row['n_group'])} / {whole(row['n_reference'])}" + (" (too small)" if row["too_small"] else "")


def _gap_span(row: dict) -> str:
    return signed_span(row["difference_low"], row["difference_high"])


def _ratio(row: dict) -> str:
    limits = f"{decimal(row['ratio_low'], 2)} to {decimal(row['ratio_high'], 2)}"
    return f"{decimal(row['ratio'], 2)} ({limits})" if known(row["ratio"]) else "–"


def difference_figure(view: View, frame: pd.DataFrame) -> list[Component]:
    """The gaps in standardised accuracy of groups large enough, drawn."""
    from reports import figures

    gaps = frame[(frame["metric"] == "standardised_accuracy") & ~frame["too_small"]]
    figure = figures.disparities(gaps, theme=view.theme)
    return [graph("disparities", figure, "/saliency", "Differences in standardised accuracy; the table has all")]


def difference_note(chosen: Chosen) -> str:
    """Which tests were made, and that another reference is exploration."""
    if chosen.own:
        return (
            "Adjusted p: Holm over the audit's declared family of tests; the null is equal recall within each label. "
            "Groups too small to judge stand in the table alone."
        )
    own = audited_reference(chosen.view, chosen.attribute)
    return f"The audit's own tests compare with {own}; against another group no test was declared, so none is shown."


def compared(chosen: Chosen) -> pd.DataFrame:
    """The differences to the chosen reference: the audit's own, or counted anew for another.

    Metrics other than accuracy and the chosen one are left out unless the address asks for all; what is too small to
    judge stands last.
    """
    frame = chosen.disparities()
    metrics = {"accuracy", "standardised_accuracy", chosen.view.query.get("metric", "recall")}
    wanted = frame["metric"].isin(metrics) | (chosen.view.query.get("rows") == "all")
    return frame[wanted].dropna(subset=["difference"]).sort_values("too_small", kind="stable")


def notes(view: View) -> Component:
    """What must be known to judge these figures."""
    facts = view.run.result("fairness")
    sentences = [
        facts["independence"],
        f"Groups under {facts['min_group']} images were not tested. {facts['family']} tests were declared; alarms are "
        f"raised at an adjusted p under {facts['alpha']}.",
        "Attributes called apparent were guessed by a program or an onlooker, and are wrong for some people.",
    ]
    return shell.section(
        "How to read this", html.Ul([html.Li(sentence) for sentence in sentences], className="plain-list")
    )


def images_link(view: View, words: str, **values: str | None) -> Component:
    """A link to the images behind a figure."""
    return html.A(words, href=view.href("/saliency", Query().change(**values)))


REGIONS: dict[str, Callable[[View], Component]] = {Ids.CONTROLS: choices, Ids.BODY: body}
