"""The Dash app over finished runs: `create_app` for tests and servers of one's own, `serve` for the command line."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dash import ALL, ClientsideFunction, Dash, Input, Output, State, html, no_update
from dash.development.base_component import Component

from audit.run import AuditRun
from dashboard import access, atlas, media, reviewing, trying
from dashboard.components import shell
from dashboard.components.ids import Shell
from dashboard.pages import PAGES
from dashboard.state import Site, View, view_of
from faces.errors import InputError

if TYPE_CHECKING:
    from waitress.server import BaseWSGIServer

log = logging.getLogger(__name__)
REASON = "message message-error"
THREADS = 10
"""More than maps (audit.worker.WAITING) and pictures from addresses (dashboard.trying.FETCHES) can hold together."""
HELD = 2**31 - 1
"""So many bytes of a request or an answer stay in memory; beyond it waitress would write them to a file."""


def create_app(
    runs: Sequence[AuditRun],
    reviews: str | None = None,
    data: Path | None = None,
    model: str | None = None,
    overlap: int = 1,
    allow_pickle: bool = False,
) -> Dash:
    """The app over some runs, the first by default. ``reviews`` is a database URL (None: reviews.sqlite in each run).

    ``data`` and ``model`` are where the images and the model are now, if they moved; ``overlap`` how many reviewers
    each picture shall have; ``allow_pickle`` whether a model file may run code as it loads. Raises InputError where
    there is no run, or ``data`` is not there.
    """
    site = Site.of(runs, reviews, data, model, overlap, allow_pickle)
    app = Dash(
        "dashboard",
        assets_folder=str(Path(__file__).parent / "assets"),
        title="Face Value",
        update_title="",
        suppress_callback_exceptions=True,
        use_async=False,
        enable_mcp=False,
        include_pages_meta=False,
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
    )
    app.server.config["SITE"] = site
    app.index_string = shell.index_string()
    app.layout = shell.layout(site)
    _callbacks(app, site)
    media.register(app.server, site)
    reviewing.register(app.server, site)
    atlas.register(app.server, site)
    trying.register(app.server, site)
    app.server.json.sort_keys = False  # type: ignore[attr-defined]  # classes keep their order
    for page in PAGES:
        if hasattr(page, "register"):
            page.register(app, site)
    access.add_headers(app.server, lambda: [*app.csp_hashes(), shell.script_hash()])
    return app


def _callbacks(app: Dash, site: Site) -> None:
    app.clientside_callback(
        ClientsideFunction("facevalue", "theme"),
        Output(Shell.THEME, "data"),
        Input(Shell.TOGGLE, "computedColorScheme"),
    )
    app.clientside_callback(
        ClientsideFunction("facevalue", "control"),
        Input({"control": ALL, "default": ALL}, "value"),
        prevent_initial_call=True,
    )
    app.clientside_callback(
        ClientsideFunction("facevalue", "clicked"),
        Input({"figure": ALL, "to": ALL}, "clickData"),
        prevent_initial_call=True,
    )
    app.clientside_callback(ClientsideFunction("facevalue", "opacity"), Input("map-opacity", "value"))
    app.clientside_callback(
        ClientsideFunction("facevalue", "help"),
        Output(Shell.HELP, "opened"),
        Input("help-button", "n_clicks"),
        State(Shell.HELP, "opened"),
    )
    app.callback(
        Output(Shell.MAIN, "children"),
        Output(Shell.NAV, "children"),
        Output("run-switch", "children"),
        Input(Shell.URL, "pathname"),
        Input(Shell.THEME, "data"),
        State(Shell.URL, "search"),
    )(_named(partial(show, site), "show"))
    for page in PAGES:
        _follow(app, site, page)


def _follow(app: Dash, site: Site, page: ModuleType) -> None:
    """Let the parts of a page follow its query; those of LATER, which nobody waits for, once the others are drawn.

    The page's own store ``Ids.DRAWN`` passes the turn on.
    """
    name, first, later = page.__name__.rpartition(".")[2], getattr(page, "REGIONS", {}), getattr(page, "LATER", {})
    states = (State(Shell.URL, "pathname"), State(Shell.THEME, "data"))
    if first:
        outputs = [Output(region, "children") for region in first]
        done = [Output(page.Ids.DRAWN, "data")] if later else []
        before = [State(page.Ids.DRAWN, "data")] if later else []
        app.callback([*outputs, *done], Input(Shell.URL, "search"), *states, *before, prevent_initial_call=True)(
            _named(partial(update, site, page, drawn=bool(later)), f"update_{name}")
        )
    if later:
        outputs = [Output(region, "children") for region in later]
        app.callback(outputs, Input(page.Ids.DRAWN, "data"), *states, prevent_initial_call=True)(
            _named(partial(update, site, page, later=True), f"later_{name}")
        )


def _named(function: partial, name: str) -> partial:
    function.__name__ = name  # type: ignore[attr-defined]
    return function


def show(site: Site, pathname: str | None, theme: str | None, search: str | None) -> tuple[object, object, object]:
    """The whole page at an address, the navigation and the run switcher."""
    view = view_of(site, search, theme)
    if view is None:
        names = ", ".join(served.slug for served in site.served)
        return (
            shell.message("No such run", f"The address names a run that is not served; there are: {names}.", "error"),
            [],
            [],
        )
    page = next((page for page in PAGES if pathname in (page.PATH, *getattr(page, "ALSO", ()))), None)
    content = rendered(page, view) if page else missing(view, pathname)
    return content, shell.nav(view, PAGES, pathname or "/"), shell.run_switch(view)


def missing(view: View, pathname: str | None) -> Component:
    """What stands at an address without a page: the sentence that says so, and a way back."""
    back = html.P(html.A("Go to the overview", href=view.href("/")))
    sentence = f"There is no page at {pathname}; the navigation lists all there are."
    return shell.page("No such page", "", shell.message("Nothing stands at this address", sentence, "error", back))


def rendered(page: ModuleType, view: View) -> Component:
    """The page, or in words why it cannot be shown."""
    content = content_or_reason(page.layout, view)
    return content if getattr(content, "className", "") != REASON else shell.page(page.TITLE, "", content)


def update(
    site: Site,
    page: ModuleType,
    search: str | None,
    pathname: str | None,
    theme: str | None,
    before: str | None = None,
    later: bool = False,
    drawn: bool = False,
) -> list[object]:
    """The parts of a page that follow its query; nothing where the address has moved on to another page or run.

    ``later``: those of LATER; ``drawn``: the query as well, which tells those of LATER that it is their turn, unless
    they were drawn for it ``before``: turning a page must not undo what is being typed into a filter.
    """
    view, regions = view_of(site, search, theme), page.LATER if later else page.REGIONS
    if view is None or pathname not in (page.PATH, *getattr(page, "ALSO", ())):
        return [no_update] * (len(regions) + drawn)
    asked = view.query.sieve()
    told = [no_update if asked == before else asked] if drawn else []
    return [*(content_or_reason(part, view) for part in regions.values()), *told]


def content_or_reason(make: Callable[[View], Component], view: View) -> Component:
    """What ``make`` gives, or the sentence that says why there is nothing; other failures are logged, not hidden."""
    try:
        return make(view)
    except InputError as error:
        return shell.message("This cannot be shown", str(error), "error")
    except Exception:
        log.exception("A page failed")
        return shell.message("This part failed", "The server's log says why; the other pages go on working.", "error")


def serve(
    runs: Sequence[AuditRun],
    host: str = "127.0.0.1",
    port: int = 8050,
    reviews: str | None = None,
    data: Path | None = None,
    token: str | None = None,
    model: str | None = None,
    overlap: int = 1,
    allow_pickle: bool = False,
) -> None:
    """Serve the pages until interrupted.

    On an address other machines can reach every request needs an access token; the printed address carries it.
    Raises InputError where the port is taken.
    """
    app = create_app(runs, reviews, data, model, overlap, allow_pickle)
    if not access.is_loopback(host):
        token = token or access.new_token()
    names = access.LOCAL_NAMES | {access.host_name(host)}
    access.protect(app.server, token, names)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    with _listening(host, port) as listener:
        address = f"http://{_shown(host)}:{listener.getsockname()[1]}/{f'?token={token}' if token else ''}"
        server = server_of(app, listener)
        threading.Thread(target=warm, args=(app.server.config["SITE"],), daemon=True).start()
        print(f"Face Value serves {', '.join(run.name for run in runs)} at {address}", flush=True)
        try:
            server.run()
        except KeyboardInterrupt:
            server.close()


def server_of(app: Dash, listener: socket.socket) -> BaseWSGIServer:
    """A server that writes nothing of what passes through it to disk."""
    import waitress

    return waitress.create_server(
        app.server,
        sockets=[listener],
        threads=THREADS,
        ident=None,
        inbuf_overflow=HELD,
        outbuf_overflow=HELD,
        max_request_body_size=trying.LARGEST_BODY,
    )


def warm(site: Site) -> None:
    """Load what the first page will ask for while the browser loads its scripts; a failure is the page's to tell."""
    with contextlib.suppress(Exception):
        show(site, "/", "light", "")
        _ = site.served[0].samples, site.served[0].pictures.reason


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens there. Raises InputError where it cannot be had."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(f"Port {port} on {host} cannot be used ({reason}); pass another --port.") from None


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host
