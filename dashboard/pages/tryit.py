"""Try the run's model on a picture, the picture at an address, or the camera; assets/tryit.js does the asking."""

from __future__ import annotations

from enum import StrEnum

import dash_mantine_components as dmc
from dash import html
from dash.development.base_component import Component

from dashboard.components import controls, shell
from dashboard.components.attributes import aria, data
from dashboard.state import View
from faces.fetch import MOST_BYTES

PATH, TITLE, ICON = "/try", "Try it", "try"


class Ids(StrEnum):
    """Components of this page."""

    DESK = "tryit"
    ADDRESS = "try-address"


def layout(view: View) -> Component:
    """Where pictures come from, the picture with its maps, and each face by itself."""
    lead = "What the run's model says of your own picture, and what it looks at. No picture is stored."
    if view.run.manifest["model"] is None:
        reason = "The run was made from a table of predictions; audit a model to try it: facevalue audit DATA --model."
        return shell.page(TITLE, lead, shell.message("No model", reason))
    return shell.page(
        TITLE,
        lead,
        html.Div(
            [sources(), html.Div([stage(), faces()], className="two")],
            id=Ids.DESK,
            **data(tryit=view.served.slug, most=str(MOST_BYTES)),
        ),
    )


def sources() -> Component:
    """A file, an address, the camera; and how maps are drawn."""
    file = html.Div([_button("Choose a picture", "file")], className="try-source")
    address = html.Div(
        [
            dmc.TextInput(
                id=Ids.ADDRESS, label="Address of a picture", placeholder="https://…", size="xs", className="control"
            ),
            _button("Fetch", "fetch"),
        ],
        className="try-source try-address",
    )
    camera = html.Div([_button("Start the camera", "camera")], className="try-source")
    row = html.Div([file, address, camera, controls.map_display()], className="controls")
    return html.Section(row, className="section filters", **aria(label="Picture"))


def _button(words: str, act: str) -> Component:
    return html.Button(words, type="button", className="act-button", **data(act=act))


def stage() -> Component:
    """The picture or the camera's last judged one, with a frame and the map over each face."""
    picture = html.Div(
        [
            html.Img(alt="The picture that was tried", **data(part="picture"), hidden=True),
            html.Canvas(
                role="img", **aria(label="The last judged frame of the camera"), **data(part="frame"), hidden=True
            ),
            html.Div(className="try-faces", **data(part="faces")),
            html.Div(
                "Choose a picture, drop one here, paste one, give an address, or start the camera.",
                className="try-empty",
                **data(part="empty"),
            ),
        ],
        className="try-stage",
        **data(part="stage"),
    )
    status = html.P("", className="note try-status", role="status", **data(part="status"))
    rate = html.P("", className="note try-rate", **data(part="rate"))
    return shell.section(
        "",
        picture,
        html.Div([status, rate], className="try-told"),
        html.Div(_whole(), hidden=True, **data(part="whole")),
    )


def _whole() -> Component:
    return _button("Take the whole picture as one face", "whole")


def faces() -> Component:
    """Each face as the model is given it, with its probabilities; filled by the script."""
    note = "Each face as the model is given it. A class's bar shows the map of that class."
    return shell.section("Faces", html.Div(className="try-cards", **data(part="cards")), note=note)
