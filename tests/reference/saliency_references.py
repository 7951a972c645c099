"""Every saliency method by the plainest use of the library it comes from, or by a slow loop; raw, one class each."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import captum.attr
import numpy as np
import pytorch_grad_cam as library
import torch
from pytorch_grad_cam.ablation_layer import AblationLayer, AblationLayerVit
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from audit.saliency import attribution
from audit.saliency.rise import KEPT, MASKS, random_masks
from audit.saliency.tap import to_grid
from models.classifier import Classifier
from tests.reference.gradcam_raw import CLASSES, raw_maps


def reference(classifier: Classifier, pixels: np.ndarray, name: str, targets: list[int], seed: int) -> np.ndarray:
    """float32 (N, h, w)."""
    if name in CLASSES:
        return raw_maps(classifier, pixels, name, targets)
    if name in GRAD_CAM:
        return from_grad_cam(classifier, pixels, name, targets)
    inputs = classifier.preprocessing.tensor(pixels)
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # captum draws from it
    found = OTHERS[name](classifier, inputs, pixels, targets, seed)
    return found.detach().numpy() if isinstance(found, Tensor) else found


GRAD_CAM = {"eigencam": library.EigenCAM, "scorecam": library.ScoreCAM, "ablationcam": library.AblationCAM}


def from_grad_cam(classifier: Classifier, pixels: np.ndarray, name: str, targets: list[int]) -> np.ndarray:
    layer = classifier.network.get_submodule(str(classifier.cam_layer))
    more = {}
    if name == "ablationcam":
        more = {
            "ablation_layer": AblationLayer() if classifier.reshape == "nchw" else AblationLayerVit(),
            "batch_size": 1,
        }
    reshape = None if classifier.reshape == "nchw" else lambda values: to_grid(values, classifier.reshape, "layer")
    cam = GRAD_CAM[name](classifier.network, [layer], reshape_transform=reshape, **more)
    seen: list[np.ndarray] = []
    original = cam.get_cam_image

    def keep(*arguments, **named):
        seen.append(original(*arguments, **named))
        return seen[-1]

    cam.get_cam_image = keep
    cam(classifier.preprocessing.tensor(pixels), [ClassifierOutputTarget(target) for target in targets])
    cam.activations_and_grads.release()
    found = np.asarray(seen[0], dtype=np.float32)
    if name == "eigencam":  # a direction has no sign
        flat = found.reshape(len(found), -1)
        found = found * np.sign(flat[np.arange(len(flat)), np.abs(flat).argmax(axis=1)])[:, None, None]
    return found


def channel_axis(classifier: Classifier) -> int:
    return 3 if classifier.preprocessing.layout == "NHWC" else 1


def black(classifier: Classifier, pixels: np.ndarray, level: int) -> Tensor:
    return classifier.preprocessing.tensor(np.full_like(pixels, level))


def integrated_gradients(classifier: Classifier, inputs: Tensor, pixels: np.ndarray, targets: list[int], seed: int):
    method = captum.attr.IntegratedGradients(classifier.network)
    return method.attribute(inputs, black(classifier, pixels, 0), target=targets, n_steps=attribution.STEPS).sum(
        channel_axis(classifier)
    )


def smoothgrad(classifier: Classifier, inputs: Tensor, pixels: np.ndarray, targets: list[int], seed: int):
    width = classifier.preprocessing.high - classifier.preprocessing.low
    return (
        captum.attr.NoiseTunnel(captum.attr.Saliency(classifier.network))
        .attribute(
            inputs, nt_samples=attribution.DRAWS, nt_samples_batch_size=4, stdevs=attribution.NOISE * width,
            target=targets, abs=False,
        )
        .sum(channel_axis(classifier))
    )  # fmt: skip


def gradientshap(classifier: Classifier, inputs: Tensor, pixels: np.ndarray, targets: list[int], seed: int):
    baselines = torch.cat([black(classifier, pixels[:1], level) for level in (0, 128, 255)])
    width = classifier.preprocessing.high - classifier.preprocessing.low
    method = captum.attr.GradientShap(classifier.network)
    return method.attribute(
        inputs, baselines, n_samples=attribution.DRAWS, stdevs=attribution.NOISE * width, target=targets
    ).sum(channel_axis(classifier))


def guided_gradcam(classifier: Classifier, inputs: Tensor, pixels: np.ndarray, targets: list[int], seed: int):
    coarse = torch.from_numpy(raw_maps(classifier, pixels, "gradcam", targets)).clamp_min(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        guided = captum.attr.GuidedBackprop(classifier.network).attribute(inputs.requires_grad_(), target=targets)
    fine = guided.sum(channel_axis(classifier))
    return fine * nn.functional.interpolate(coarse[:, None], fine.shape[1:], mode="nearest")[:, 0]


def occlusion(classifier: Classifier, inputs: Tensor, pixels: np.ndarray, targets: list[int], seed: int):
    side = classifier.preprocessing.height // attribution.WINDOW
    channels = classifier.preprocessing.channels
    with torch.no_grad():
        return captum.attr.Occlusion(classifier.network).attribute(
            inputs, (channels, side, side), strides=(channels, side // 2, side // 2), target=targets,
            baselines=black(classifier, pixels, 128), perturbations_per_eval=32,
        ).sum(1)  # fmt: skip


def rise(classifier: Classifier, inputs: Tensor, pixels: np.ndarray, targets: list[int], seed: int):
    masks = random_masks(classifier.preprocessing.height, classifier.preprocessing.width, MASKS, seed)
    maps = np.zeros((len(inputs), *masks.shape[1:]))
    with torch.no_grad():
        for mask in masks:
            probabilities = classifier.network(inputs * torch.from_numpy(mask)).softmax(dim=1).numpy()
            maps += probabilities[np.arange(len(inputs)), targets][:, None, None] * mask
    return maps / (MASKS * KEPT)


OTHERS: dict[str, Callable] = {
    "integrated_gradients": integrated_gradients,
    "smoothgrad": smoothgrad,
    "gradientshap": gradientshap,
    "guided_gradcam": guided_gradcam,
    "occlusion": occlusion,
    "rise": rise,
}
