"""Every ranking cleanlab offers, for probabilities and labels in an .npz; runs in benchmarks/.venv.

Usage: python _cleanlab.py IN.npz OUT.npz. IN holds ``p`` (N, K), ``y`` (N,); OUT holds one array (N,) a ranking,
higher is likelier wrong.
"""

import sys
import warnings

import numpy as np

warnings.simplefilter("ignore")


def main(source: str, target: str) -> None:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    given = np.load(source)
    p, y = given["p"].astype(np.float64), given["y"].astype(int)
    p = p / p.sum(axis=1, keepdims=True)
    scores = {}
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        for adjust in (False, True):
            if adjust and method == "confidence_weighted_entropy":
                continue
            quality = get_label_quality_scores(y, p, method=method, adjust_pred_probs=adjust)
            scores[f"{method}{' adjusted' if adjust else ''}"] = -quality
    for method in ("prune_by_noise_rate", "prune_by_class", "both", "confident_learning", "predicted_neq_given"):
        flagged = find_label_issues(y, p, filter_by=method, n_jobs=1)
        scores[f"filter {method}"] = flagged + 0.5 * (1 - p[np.arange(len(y)), y])
    np.savez(target, **scores)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
