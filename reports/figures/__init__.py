"""Result -> Plotly figure: one function per figure, used by the dashboard's pages and the reports alike.

Every function takes a table or an array that an analysis made, computes no statistic itself, and takes
``theme="light"`` or ``"dark"``. Marks carry ``customdata`` (``label``, ``predicted``, ``attribute``, ``group``, ...)
so that a click can lead to the images behind them; the marks of heat maps give the true names as ``x`` and ``y``.
Names are shown as text, whatever characters they hold.
"""

from reports.figures.calibration import confidence, reliability, reliability_by_group
from reports.figures.comparison import changes, confusion_change, gaps_side_by_side
from reports.figures.confusion import confusable_pairs, confusion_matrix, per_class, probabilities
from reports.figures.data import composition, image_quality, label_mix
from reports.figures.further import gaps_by_view, trade_offs
from reports.figures.groups import class_by_group, disparities, four_fifths, group_accuracy, group_metric
from reports.figures.leaderboard import leaderboard
from reports.figures.saliency import mean_maps
from reports.figures.theme import empty
from reports.figures.trust import alike, curves, faithfulness, region_drops, region_shares, region_tells

__all__ = [
    "alike",
    "changes",
    "class_by_group",
    "composition",
    "confidence",
    "confusable_pairs",
    "confusion_change",
    "confusion_matrix",
    "curves",
    "disparities",
    "empty",
    "faithfulness",
    "four_fifths",
    "gaps_by_view",
    "gaps_side_by_side",
    "group_accuracy",
    "group_metric",
    "image_quality",
    "label_mix",
    "leaderboard",
    "mean_maps",
    "per_class",
    "probabilities",
    "region_drops",
    "region_shares",
    "region_tells",
    "reliability",
    "reliability_by_group",
    "trade_offs",
]
