"""The pages, one module each.

A page has ``PATH``, ``TITLE``, ``ICON`` (none: not in the navigation) and ``layout(view)``; it may have ``REGIONS`` (id
-> function of the view: the parts that follow the address), ``ALSO`` (further paths), ``offered(view)`` (whether the
navigation lists it) and ``register(app, site)`` (callbacks and routes of its own).
"""

from dashboard.pages import atlas, compare, confusions, fairness, overview, report, review, saliency, sample, tryit

PAGES = (overview, confusions, fairness, saliency, sample, atlas, compare, review, report, tryit)
