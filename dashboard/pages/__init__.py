"""One module a page: ``PATH``, ``TITLE``, ``ICON`` (none: not in the navigation), ``layout(view)``, and optionally

``REGIONS`` (id -> function of the view: the parts that follow the address), ``ALSO`` (further paths) and
``register(app, site)`` (callbacks and routes of its own).
"""

from dashboard.pages import confusions, fairness, overview, report, review, saliency, sample

PAGES = (overview, confusions, fairness, saliency, sample, review, report)
