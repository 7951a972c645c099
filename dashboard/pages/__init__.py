"""The pages, one module each.

A page has ``PATH``, ``TITLE``, ``ICON`` (none: not in the navigation) and ``layout(view)``; it may have ``REGIONS`` (id
-> function of the view: the parts that follow the address), ``LATER`` (the same, for parts that nobody waits for),
``ALSO`` (further paths), ``offered(view)`` (whether the navigation lists it), ``PARENT`` (the path of the page it
stands under) and ``register(app, site)`` (callbacks and routes of its own).
"""

from dashboard.pages import (
    atlas,
    compare,
    confusions,
    fairness,
    leaderboard,
    overview,
    regions,
    report,
    review,
    saliency,
    sample,
    shortcuts,
    trust,
    tryit,
)

PAGES = (
    overview,
    confusions,
    fairness,
    saliency,
    regions,
    shortcuts,
    trust,
    sample,
    atlas,
    compare,
    leaderboard,
    review,
    report,
    tryit,
)
