"""What a person reads first: findings, each leading to its evidence, and the key figures."""

from __future__ import annotations

from enum import StrEnum

from dash import html
from dash.development.base_component import Component

from audit.run import SEVERITIES, Finding
from dashboard.components import shell
from dashboard.components.attributes import aria
from dashboard.components.charts import graph
from dashboard.state import View
from reports.saliency_words import method_title
from reports.words import interval, percent, spaced, whole

PATH, TITLE, ICON = "/", "Overview", "overview"
UNCHECKED = SEVERITIES[-1]
LIKELY_WRONG = "0.5.."


class Ids(StrEnum):
    """Components of this page."""

    FINDINGS = "findings"


def layout(view: View) -> Component:
    """Key figures, findings, the classes, and what was audited."""
    from reports import figures

    per_class = view.served.table("per_class")
    return shell.page(
        TITLE,
        f"What the audit of {view.run.name} found, most serious first.",
        html.Div(tiles(view), className="tiles"),
        shell.section("Findings", findings(view), id=Ids.FINDINGS),
        shell.section(
            "Each class",
            graph(
                "per_class",
                figures.per_class(per_class, theme=view.theme),
                "/confusions",
                "Recall, precision and F1 of each class",
            ),
            note="With 95% intervals. A click leads to the images of that label.",
        ),
        shell.section("What was audited", html.Dl(facts(view), className="facts")),
    )


def tiles(view: View) -> list[Component]:
    """The key figures, each with its interval and number of images, each leading to its evidence."""
    makers = (accuracy_tile, class_tile, pair_tile, group_tile, labels_tile)
    return [tile for maker in makers if (tile := maker(view)) is not None]


def accuracy_tile(view: View) -> Component | None:
    """Accuracy of the whole set."""
    from audit.summary import accuracy

    counts = view.served.counts()
    figures = accuracy(counts.confusion)
    return _tile(
        "Accuracy",
        percent(figures["value"]),
        interval(figures["low"], figures["high"]),
        f"{whole(counts.n)} images",
        view.href("/confusions"),
    )


def class_tile(view: View) -> Component | None:
    """The class recognised least."""
    frame = view.served.table("per_class").dropna(subset=["recall"])
    if frame.empty:
        return None
    worst = frame.loc[frame["recall"].idxmin()]
    words = interval(worst["recall_low"], worst["recall_high"])
    return _tile(
        f"Lowest recall: {worst['class']}",
        percent(worst["recall"]),
        words,
        f"{whole(worst['n'])} images",
        view.href("/confusions", label=worst["class"], correct="wrong"),
    )


def pair_tile(view: View) -> Component | None:
    """The two classes most often confused."""
    frame = view.served.table("pairs").dropna(subset=["rate"])
    if frame.empty:
        return None
    top = frame.iloc[0]
    both = f"{top['class_a']},{top['class_b']}"
    href = view.href("/confusions", label=both, predicted=both, correct="wrong")
    return _tile(
        f"Most confused: {top['class_a']} / {top['class_b']}",
        percent(top["rate"]),
        interval(top["low"], top["high"]),
        f"{whole(top['n'])} images of either",
        href,
    )


def group_tile(view: View) -> Component | None:
    """The large enough group with the lowest standardised accuracy among the single attributes."""
    frame = view.served.table("groups")
    frame = frame[frame["attribute"].isin(view.run.attributes) & ~frame["too_small"].astype(bool)].dropna(
        subset=["standardised"]
    )
    if frame.empty:
        return None
    worst = frame.loc[frame["standardised"].idxmin()]
    href = view.href("/fairness", attribute=worst["attribute"])
    words = interval(worst["standardised_low"], worst["standardised_high"])
    return _tile(
        f"Lowest group: {worst['group']}",
        percent(worst["standardised"]),
        words,
        f"{whole(worst['n'])} images, standardised",
        href,
    )


def labels_tile(view: View) -> Component | None:
    """How many labels are likelier wrong than right."""
    score = view.run.samples["label_issue_score"].dropna()
    if score.empty:
        return None
    n = int((score > 0.5).sum())
    return _tile(
        "Labels likely wrong",
        whole(n),
        f"{percent(n / len(score))} are likelier wrong than right",
        f"{whole(len(score))} labels judged",
        view.href("/review"),
    )


def _tile(title: str, value: str, first: str, second: str, href: str) -> Component:
    parts = [
        html.Span(title, className="tile-title"),
        html.Span(value, className="tile-value"),
        html.Span(first),
        html.Span(second),
    ]
    return html.A(parts, href=href, className="tile")


def findings(view: View) -> Component:
    """The findings, most severe first; what could not be checked stands apart."""
    found = [one for one in view.run.findings if one.severity != UNCHECKED]
    unchecked = [one for one in view.run.findings if one.severity == UNCHECKED]
    parts: list[Component] = [html.Ul([finding(view, one) for one in found], className="findings")]
    if not found:
        parts = [html.P("The audit found nothing to warn of.", className="note")]
    if unchecked:
        title = f"What could not be checked ({len(unchecked)})"
        listed = html.Ul([finding(view, one) for one in unchecked], className="findings")
        parts.append(html.Details([html.Summary(title), listed], open=not found))
    return html.Div(parts)


def finding(view: View, one: Finding) -> Component:
    """One finding as a line with a link to its evidence."""
    words = html.Div([html.H3(one.title), html.P(one.detail)], className="finding-words")
    badge = html.Span(
        {"high": "high", "medium": "medium", "low": "low", "info": "info"}.get(one.severity, "not checked"),
        className="badge",
    )
    code = html.Span(one.code, className="code")
    link = (
        []
        if one.link == "/"
        else [
            html.A(
                "Evidence",
                href=view.evidence(one.link),
                className="page-link",
                **aria(label=f"Evidence for: {one.title}"),
            )
        ]
    )
    return html.Li(
        [html.Div([badge, code], className="finding-mark"), words, *link], className=f"finding {one.severity}"
    )


def facts(view: View) -> list[Component]:
    """Model, data and options in a few lines."""
    manifest, run = view.run.manifest, view.run
    model, data = manifest.get("model") or {}, manifest["data"]
    seconds = run.timing.get("total_s")
    rows = [
        (
            "Model",
            f"{model.get('name') or model.get('path') or 'none'} ({model['kind']})"
            if model
            else "none: predictions were given as a table",
        ),
        ("Model fingerprint", str(model.get("fingerprint", ""))[:16]),
        ("Data", f"{str(data['path']).rsplit('/', 1)[-1]} ({data['kind']})"),
        ("Data fingerprint", str(data["fingerprint"])[:16]),
        ("Images", whole(len(run.samples))),
        ("Classes", ", ".join(run.classes)),
        ("Attributes", ", ".join(spaced(name) for name in run.attributes) or "none"),
        ("Saliency", ", ".join(map(method_title, run.saliency_methods)) or "none"),
        ("Took", f"{seconds:.0f} s" if seconds else ""),
    ]
    return [part for name, text in rows if text for part in (html.Dt(name), html.Dd(text))]
