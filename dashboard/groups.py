"""With whom the Fairness page compares groups, and every table of it counted anew where the address asks for others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from audit.counts import CROSS, CROSSED
from audit.terms import Terms
from dashboard.state import View


@dataclass(frozen=True)
class Chosen:
    """An attribute or intersection, its reference group, and the size from which groups are judged.

    ``own`` says whether reference and size are those of the audit, whose tests then stand.
    """

    view: View
    attribute: str
    reference: str
    minimum: int
    own: bool

    @classmethod
    def of(cls, view: View) -> Chosen:
        """What the address names; where it names nothing, the first attribute and the audit's own terms."""
        names = attributes(view)
        attribute = view.query.choice("attribute", tuple(names), names[0])
        groups = rows(view, "groups", attribute)["group"].tolist()
        own, least = audited_reference(view, attribute), smallest(view)
        reference = view.query.choice("reference", tuple(groups), own)
        return cls(view, attribute, reference, view.query.number("minimum", least, 1, 100_000), reference == own)

    def table(self, name: str) -> pd.DataFrame:
        """The rows of a stored result table that are about the attribute."""
        return rows(self.view, name, self.attribute)

    @property
    def terms(self) -> Terms:
        mix = np.array([self.view.run.result("fairness")["mix"][name] for name in self.view.run.classes])
        crossed = max(CROSSED, self.attribute.count(CROSS) + 1)
        return Terms(mix, {self.attribute: self.reference}, self.minimum, crossed)

    def groups(self) -> pd.DataFrame:
        """Figures by group, ``too_small`` by the chosen size."""
        frame = self.table("groups")
        return frame.assign(too_small=frame["n"] < self.minimum)

    def disparities(self) -> pd.DataFrame:
        """Every group against the reference; ``too_small`` where a figure is a share of fewer images than chosen."""
        frame = self.table("disparities")
        if not self.own or CROSS in self.attribute:
            from audit import fairness

            counts = self.view.served.counts(self.attribute)
            anew = fairness.disparities(counts, self.terms.mix, self.reference, self.minimum, every_rate=True)
            anew = anew.assign(p_adjusted=np.nan)
            stored = frame["metric"].unique() if self.own else []
            frame = pd.concat([frame[frame["metric"].isin(stored)], anew[~anew["metric"].isin(stored)]])
        few = frame[["n_group", "n_reference"]].min(axis=1) < self.minimum
        return frame.assign(too_small=few.to_numpy(dtype=bool))

    def parts(self) -> pd.DataFrame:
        """Kitagawa's split of every raw gap, with the smallest gap that so many images could have shown."""
        from audit import family

        split, power = self.table("decomposition"), self.table("power")
        if not self.own:
            counts = self.view.served.counts(self.attribute)
            rng = family.attribute_rng(self.view.run.manifest["seed"], self.attribute)
            split = family.decomposition(counts, self.reference, rng)
            power = family.power(counts, self.reference, self.minimum)
        smallest_gap = split["group"].map(power.set_index("group")["smallest_gap"])
        return split.assign(smallest_gap=smallest_gap, too_small=split["n_group"] < self.minimum)

    def views(self) -> pd.DataFrame:
        """The groups in every view, against the reference; with reviewers' decisions once there are any."""
        from audit.views import decided_labels, views_of

        served = self.view.served
        begun = served.reviews is not None or (served.run.folder / "reviews.sqlite").is_file()
        decided = decided_labels(served.review) if begun else {}
        if decided or not self.own:
            frame = views_of(served.run, decided, self.terms)
            frame = frame[frame["attribute"] == self.attribute]
        else:
            frame = self.table("views")
        return frame.assign(too_small=frame["n"] < self.minimum)


def rows(view: View, name: str, attribute: str) -> pd.DataFrame:
    """The rows of a stored result table that are about one attribute."""
    frame = view.served.table(name)
    return frame[frame["attribute"] == attribute]


def attributes(view: View) -> list[str]:
    """Attributes and intersections that the run counted, single ones first."""
    known = list(view.served.table("groups")["attribute"].unique())
    return sorted(
        known,
        key=lambda name: (CROSS in name, view.run.attributes.index(name) if name in view.run.attributes else 0, name),
    )


def audited_reference(view: View, attribute: str) -> str:
    """The group that the audit itself compared with."""
    known = view.run.result("fairness")["references"]
    return known.get(attribute) or rows(view, "groups", attribute)["group"].iloc[0]


def smallest(view: View) -> int:
    """The size from which the audit judged groups."""
    return int(view.run.result("fairness")["min_group"])
