"""What stands around every page: header, run switcher, navigation, theme, keyboard help."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import dash_mantine_components as dmc
from dash import dcc, html

from dashboard import colours
from dashboard.components.attributes import Child, Children, aria
from dashboard.components.ids import Shell
from dashboard.state import Site, View

if TYPE_CHECKING:
    from types import ModuleType

    from dash.development.base_component import Component

FONT = "Inter, 'Liberation Sans', Arial, Helvetica, 'DejaVu Sans', sans-serif"
BLUES = ["#eef7fd", "#d8ebf8", "#abd5f0", "#7abde7", "#52a9e0", "#3a9cdc", "#2b93d8", "#0072b2", "#0d649a", "#005486"]
MANTINE = {
    "primaryColor": "brand",
    "primaryShade": 7,
    "colors": {"brand": BLUES},
    "fontFamily": FONT,
    "defaultRadius": "md",
    "cursorType": "pointer",
}
EARLY_SCRIPT = (
    "try{var s=localStorage.getItem('mantine-color-scheme-value');"
    "var d=s==='dark'||(s!=='light'&&matchMedia('(prefers-color-scheme: dark)').matches);"
    "document.documentElement.setAttribute('data-mantine-color-scheme',d?'dark':'light');"
    "var o=localStorage.getItem('facevalue-opacity');"
    "if(o!==null)document.documentElement.style.setProperty('--map-opacity',o);"
    "var c=localStorage.getItem('facevalue-scale');"
    "if(c)document.documentElement.setAttribute('data-scale',c);}catch(e){}"
)
"""Sets theme and map display before the first paint, so that nothing flashes."""

KEYS = (
    ("Everywhere", (("?", "this help"), ("g then o c f s a", "overview, confusions, fairness, saliency, atlas"),
                    ("g then r p t l", "review, report, try it, leaderboard"), ("/", "search or first filter"),
                    ("t", "light or dark"))),
    ("Maps", (("[ ]", "less or more map"), ("m", "map on or off"), ("c", "next colour scale"),
              ("← → ↑ ↓", "move between pictures"), ("Enter", "open"), ("n p", "next, previous page or sample"))),
    ("Review", (("1 to 9", "give that label"), ("Enter", "accept the suggestion"), ("K", "keep the label"),
                ("X", "not a face"), ("L", "soft label"), ("S", "skip"), ("U", "undo"), ("N", "write a reason"),
                ("B then A", "look-alikes, all of them"), ("← →", "back, forward"))),
)  # fmt: skip


def index_string() -> str:
    """The page around the app; everything it loads comes from this server."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>{{%metas%}}<title>{{%title%}}</title>{{%favicon%}}{{%css%}}<script>{EARLY_SCRIPT}</script></head>
<body>{colours.svg_filters()}<div id="notice" role="alert" hidden></div>
{{%app_entry%}}<footer>{{%config%}}{{%scripts%}}{{%renderer%}}</footer></body>
</html>"""


def script_hash() -> str:
    """The CSP hash of the early script."""
    digest = hashlib.sha256(EARLY_SCRIPT.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def layout(site: Site) -> Component:
    """The shell before any page has been chosen."""
    return dmc.MantineProvider(
        [
            dcc.Location(id=Shell.URL, refresh=False),
            dcc.Store(id=Shell.THEME),
            html.A("Skip to content", href="#main", className="skip"),
            html.Header(_header(), className="top"),
            html.Nav(id=Shell.NAV, className="nav", **aria(label="Pages")),
            html.Main(loading(), id=Shell.MAIN, className="main", tabIndex=-1),
            dmc.Modal(
                _help(), id=Shell.HELP, title="Keyboard", size="lg", centered=True, closeButtonProps=aria(label="Close")
            ),
        ],
        theme=MANTINE,
        defaultColorScheme="auto",
    )


def _header() -> list[Component]:
    return [
        html.A(
            [
                html.Span(className="brand-mark", **aria(hidden="true")),
                html.Span("Face Value", className="brand-name"),
            ],
            href="/",
            className="brand",
            **aria(label="Face Value: overview"),
        ),
        html.Div(id="run-switch", className="run-switch"),
        html.Button(
            "?", id="help-button", className="icon-button", title="Keyboard help", **aria(label="Keyboard help")
        ),
        dmc.ColorSchemeToggle(
            id=Shell.TOGGLE,
            className="icon-button",
            variant="subtle",
            lightIcon=html.Span(className="icon icon-sun"),
            darkIcon=html.Span(className="icon icon-moon"),
        ),
    ]


def run_switch(view: View) -> Sequence[Component]:
    """Which run the pages are about, and a link to each other one."""
    run = view.run
    model = run.manifest["model"] or {"name": "predictions"}
    facts = [model.get("name") or model["kind"], f"{len(run.samples):,} images"]
    title = [html.Span(view.served.slug, className="run-name"), html.Span(" · ".join(facts), className="run-facts")]
    others = [served for served in view.site.served if served is not view.served]
    if not others:
        return title
    links = [
        html.A(served.slug, href=_run_address(view, served.slug), className="plain", role="menuitem")
        for served in others
    ]
    summary = html.Summary([*title, html.Span(className="icon icon-down")], title="Switch to another run")
    return [html.Details([summary, html.Div(links, className="menu", role="menu")], className="switcher")]


def _run_address(view: View, slug: str) -> str:
    return "/" if slug == view.site.served[0].slug else f"/?run={slug}"


def nav(view: View, pages: tuple[ModuleType, ...], pathname: str) -> list[Component]:
    """Links to the pages, the present one marked."""
    present = next((page for page in pages if pathname in (page.PATH, *getattr(page, "ALSO", ()))), None)
    above = getattr(present, "PARENT", pathname)
    return [
        html.A(
            [html.Span(className=f"icon icon-{page.ICON}", **aria(hidden="true")), html.Span(page.TITLE)],
            href=view.href(page.PATH),
            className="nav-link",
            **(aria(current="page") if above in (page.PATH, *getattr(page, "ALSO", ())) else {}),
        )
        for page in pages
        if page.ICON and getattr(page, "offered", _always)(view)
    ]


def _always(view: View) -> bool:
    return True


def loading() -> Component:
    """What stands in a page's place until it comes: its outline, so that nothing jumps."""
    return html.Div(
        [html.Div(className="bone bone-title"), *[html.Div(className="bone bone-block") for _ in range(3)]],
        className="skeleton",
        **aria(label="Loading"),
        role="status",
    )


def page(title: str, lead: Children, *children: Child) -> Component:
    """A page: heading, one line of what it is for, content."""
    return html.Div(
        [html.Header([html.H1(title), html.P(lead, className="lead")], className="page-head"), *children],
        className="page",
    )


def section(title: str, *children: Child, note: Children = None, className: str = "", **props: Any) -> Component:
    """A titled card."""
    head = [*([html.H2(title)] if title else []), *([html.P(note, className="note")] if note else [])]
    return html.Section(
        [*([html.Header(head, className="section-head")] if head else []), *children],
        className=f"section {className}",
        **props,
    )


def message(title: str, sentence: str, kind: str = "empty", *children: Child) -> Component:
    """An empty state (``empty``), a notice (``notice``) or an error (``error``) in words."""
    role = {"error": "alert"}.get(kind, "status")
    return html.Div([html.H2(title), html.P(sentence), *children], className=f"message message-{kind}", role=role)


def _help() -> Component:
    return html.Div(
        [
            html.Section(
                [
                    html.H3(title),
                    html.Dl([part for keys, does in rows for part in (html.Dt(_keys(keys)), html.Dd(does))]),
                ],
            )
            for title, rows in KEYS
        ],
        className="keys",
    )


def _keys(text: str) -> list[Component | str]:
    return [part for word in text.split() for part in (word if word in ("then", "to") else html.Kbd(word), " ")]
