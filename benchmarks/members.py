"""What each member of an ensemble and each number of views is worth: every choice of members, judged.

    python -m benchmarks.members [MODEL...]

Each MODEL is a checkpoint of one network or several, trained on FER-2013 with the same images held out (default:
fer2013-quality). For each choice of their members this prints the accuracy on the images that all of them held out and
on PublicTest, and the mean -log of the label's probability on the former at the one temperature that suits them best,
in nats. Members and views are to be chosen by what was held out; the figures of PublicTest are what that choice gives.
Two views are the image both ways round, six are those and both turned by the first checkpoint's angle to either side,
eight also its middle enlarged as the first checkpoint does. A file keeps the mean of its members' biases alone, with
which each is judged here; what each got with its own stands on its card. Logits are taken as they were before a
checkpoint's calibration, as `facevalue ensemble` joins them.
"""

from __future__ import annotations

import sys
from itertools import combinations
from typing import Any

import numpy as np
from scipy.special import log_softmax, softmax

from benchmarks._real import faces_folder
from faces.readers import open_dataset
from models import checkpoints, networks
from models.classifier import Classifier
from training.ensemble import members
from training.figures import probabilities
from training.gather import gathered
from training.loop import divided
from training.memory import in_memory
from training.recipe import Recipe
from training.temperature import fitted


def nats(logs: np.ndarray, classes: np.ndarray) -> float:
    """Mean -log of the label's probability under logits (N, K) over their best temperature."""
    scaled = log_softmax(logs / fitted(softmax(logs, axis=1), classes), axis=1)
    return -float(np.mean(scaled[np.arange(len(classes)), classes]))


def _trainings(classifier: Classifier) -> list[dict[str, Any]]:
    """What the card says of the training of each of its networks; members of one recipe share it."""
    found = []
    for one in classifier.card.get("members", [classifier.card]):
        model = one["recipe"]["model"]
        found += [one] * (model["members"] + len(model["beside"]))
    return found


def main() -> int:
    given = sys.argv[1:] or ["fer2013-quality"]
    folders = {name: checkpoints.named(name) for name in given}
    for name, folder in folders.items():
        if folder is None:
            sys.exit(f"{name} is no checkpoint; give a checkpoint folder or the name of one that ships")
    classifiers = [checkpoints.load(folder) for folder in folders.values() if folder]
    classifier = classifiers[0]
    told = [member for one in classifiers for member in _trainings(one)]
    recipe = Recipe.model_validate(told[0]["recipe"])
    data = open_dataset(faces_folder() / "archive.zip")
    _, held_out = divided(gathered(recipe, [data], None)[0], recipe)
    test = in_memory(data.select("test"), classifier.labels, classifier.preprocessing)
    parts = [part for one in classifiers for part in members(one, classifier.labels)]
    names = [member["name"] for member in told]
    made = classifier.card["network"]
    angle, closer = float(made.get("tilted", 0)), float(made.get("closer", 1))
    for views in dict.fromkeys(((0.0, 1.0), (angle, 1.0), (angle, closer))):
        count_of_views = 2 * (1 + 2 * (views[0] > 0) + (views[1] > 1))
        said = []
        for part in parts:
            network = networks.mirrored(part, *views).eval()
            judged = Classifier(network, classifier.labels, classifier.preprocessing)
            said.append([np.log(probabilities(judged, faces.images)) for faces in (held_out, test)])
        for count in range(1, len(parts) + 1):
            for chosen in combinations(range(len(parts)), count):
                held, tested = (np.mean([said[index][which] for index in chosen], axis=0) for which in (0, 1))
                right = [(g.argmax(axis=1) == f.classes).mean() for g, f in ((held, held_out), (tested, test))]
                print(
                    f"{count_of_views} views  {' + '.join(names[index] for index in chosen):<50} held out "
                    f"{right[0]:.1%} of {len(held_out):,}, {nats(held, held_out.classes):.3f} nats; "
                    f"PublicTest {right[1]:.1%}",
                    flush=True,
                )
    return 0


if __name__ == "__main__":
    sys.exit(main())
