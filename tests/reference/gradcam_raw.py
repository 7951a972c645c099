"""The grad-cam library's maps before its ReLU and scaling, by its own internals."""

from __future__ import annotations

import numpy as np
import pytorch_grad_cam as library
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

from audit.saliency.tap import to_grid
from models.classifier import Classifier

CLASSES = {
    "gradcam": library.GradCAM,
    "xgradcam": library.XGradCAM,
    "hirescam": library.HiResCAM,
    "gradcam_plusplus": library.GradCAMPlusPlus,
    "layercam": library.LayerCAM,
}


def raw_maps(classifier: Classifier, pixels: np.ndarray, method: str, targets: list[int]) -> np.ndarray:
    """float32 (N, h, w): the map of each image for its class in ``targets``."""
    layer = classifier.network.get_submodule(str(classifier.cam_layer))

    def reshape(values: torch.Tensor) -> torch.Tensor:
        return to_grid(values, classifier.reshape, "layer")

    cam = CLASSES[method](classifier.network, [layer], reshape_transform=reshape)
    seen: list[np.ndarray] = []
    original = cam.get_cam_image

    def keep(*arguments, **named):
        seen.append(original(*arguments, **named))
        return seen[-1]

    cam.get_cam_image = keep
    with torch.enable_grad():
        cam(classifier.preprocessing.tensor(pixels), [ClassifierOutputTarget(target) for target in targets])
    cam.activations_and_grads.release()
    classifier.network.zero_grad()
    return np.asarray(seen[0], dtype=np.float32)
