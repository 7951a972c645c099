"""The leaderboard's page over two runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dashboard.pages import leaderboard
from dashboard.state import Site, view_of
from tests.dashboard_runs import make_run


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder: Path = tmp_path_factory.mktemp("leaderboard")
    return Site.of([make_run(folder, n=80, name="one"), make_run(folder, n=80, seed=1, name="other")])


def test_every_run_stands_beside_the_published_figure(site: Site) -> None:
    view = view_of(site, "", "light")
    assert view is not None
    page = json.dumps(leaderboard.layout(view).to_plotly_json(), default=lambda part: part.to_plotly_json())
    assert "one" in page and "other" in page and "63.15%" in page
    assert "93% on 128 images can mean anything from 87.2% to 96.3%" in page
    assert "61.1% (validation set): on how many images is not told" in page


def test_lines_can_be_ordered(site: Site) -> None:
    orders = []
    for order in ("run", "-run"):
        view = view_of(site, f"?order={order}", "dark")
        assert view is not None
        page = json.dumps(leaderboard.body(view).to_plotly_json(), default=lambda part: part.to_plotly_json())
        table = page[page.index("Best first") :]
        orders.append(table.index('"one"') < table.index('"other"'))
    assert orders == [True, False]
