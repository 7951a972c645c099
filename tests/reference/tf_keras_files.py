"""Writes the files of tests/data/tf_keras with TensorFlow 2.15 and what it answers to them; no test runs this.

pip install 'tensorflow-cpu==2.15.1' 'numpy<2', apart from the project's own environment, then
python tests/reference/tf_keras_files.py.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import applications, layers

FOLDER = Path(__file__).parents[1] / "data" / "tf_keras"


def _classes(x: Any) -> Any:
    return layers.Dense(7, activation="softmax")(layers.GlobalAveragePooling2D()(x))


def arithmetic() -> Any:
    """Operators in the model itself, from the scaling of the pixels to the softmax."""
    image = keras.Input((48, 48, 1))
    x = image / 127.5 - 1.0
    x = tf.concat([x, x, x], axis=-1)
    y = tf.nn.relu(layers.Conv2D(8, 3, padding="same")(x)) + layers.Conv2D(8, 1)(x) * 0.5
    y = tf.math.maximum(y, 0.1 * y)
    y = layers.Conv2D(8, 3, padding="same", activation="swish")(y)
    y = tf.reduce_mean(y, axis=[1, 2])
    return keras.Model(image, tf.nn.softmax(layers.Dense(7)(y)))


def fine_tuned(preprocess: Callable[[Any], Any]) -> Any:
    """As in TensorFlow's tutorial of transfer learning: preprocess_input, an inner model, a new head."""
    inner = keras.Input((32, 32, 3))
    x = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same", use_bias=False)(inner))
    x = layers.AveragePooling2D(3, 2, padding="same")(layers.ReLU(6.0)(x))
    base = keras.Model(inner, layers.Conv2D(8, 3, activation="relu")(x), name="base")
    image = keras.Input((32, 32, 3))
    x = layers.Dropout(0.2)(base(preprocess(image), training=False))
    return keras.Model(image, _classes(x))


def augmented() -> Any:
    """Layers of augmentation as an inner model, pixels resized and coloured by TensorFlow, standardised."""
    image = keras.Input((48, 48, 1))
    x = keras.Sequential([layers.RandomFlip("horizontal"), layers.RandomRotation(0.1)])(image)
    x = tf.image.resize(tf.image.grayscale_to_rgb(x), (32, 32))
    return keras.Model(image, _classes(layers.Conv2D(8, 3, activation="relu")(tf.image.per_image_standardization(x))))


def gated() -> Any:
    """Squeeze-and-excitation by operators, and MobileNetV3's hard sigmoid."""
    image = keras.Input((32, 32, 1))
    x = layers.Conv2D(16, 3, strides=2, activation="relu")(image)
    gate = layers.Dense(16)(layers.Reshape((1, 1, 16))(layers.GlobalAveragePooling2D()(x)))
    x = x * (layers.ReLU(6.0)(gate + 3.0) * (1 / 6))
    return keras.Model(image, _classes(tf.keras.activations.relu(x, alpha=0.1)))


def attention() -> Any:
    """A small vision transformer."""
    image = keras.Input((48, 48, 1))
    x = layers.Reshape((36, 16))(layers.Conv2D(16, 8, 8)(image))
    y = layers.LayerNormalization()(x)
    x = x + layers.MultiHeadAttention(2, 8)(y, y)
    x = layers.Add()([x, layers.Dense(16)(layers.Dense(32, activation=tf.nn.gelu)(x))])
    return keras.Model(image, layers.Dense(7, activation="softmax")(layers.GlobalAveragePooling1D()(x)))


def convnext() -> Any:
    """One block of keras.applications' ConvNeXt, whose scaling is a layer of its own."""
    from keras.src.applications.convnext import LayerScale, StochasticDepth

    image = keras.Input((32, 32, 3))
    x = layers.Conv2D(8, 4, 4)(image)
    y = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(8, 7, padding="same", groups=8)(x))
    y = layers.Dense(8)(layers.Activation("gelu")(layers.Dense(32)(y)))
    x = x + StochasticDepth(0.1)(LayerScale(0.1, 8)(y))
    return keras.Model(image, _classes(x))


def of_old() -> Any:
    """Layers whose options keras 3 has dropped."""
    image = keras.Input((48, 48, 1))
    x = layers.PReLU(shared_axes=[1, 2])(layers.Conv2D(8, 3, padding="same")(layers.GaussianNoise(0.1)(image)))
    x = layers.SeparableConv2D(8, 3, activation=tf.nn.leaky_relu)(layers.SpatialDropout2D(0.1)(x))
    x = layers.BatchNormalization(momentum=0.9)(layers.ELU()(layers.LeakyReLU(alpha=0.1)(x)))
    x = layers.DepthwiseConv2D(3)(layers.ZeroPadding2D(1)(layers.AveragePooling2D()(x)))
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    return keras.Model(image, layers.Dense(7, activation="softmax")(layers.Dense(16, activation="selu")(x)))


MODELS: dict[str, Callable[[], Any]] = {
    "arithmetic": arithmetic,
    "caffe": lambda: fine_tuned(applications.vgg16.preprocess_input),
    "torch": lambda: fine_tuned(applications.densenet.preprocess_input),
    "tf": lambda: fine_tuned(applications.mobilenet_v2.preprocess_input),
    "augmented": augmented,
    "gated": gated,
    "attention": attention,
    "convnext": convnext,
    "of_old": of_old,
}


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    answers = {}
    for name, build in MODELS.items():
        keras.backend.clear_session()
        keras.utils.set_random_seed(3)
        model = build()
        random = np.random.default_rng(1)
        model.set_weights([value + np.abs(random.normal(0, 0.1, value.shape)) for value in model.get_weights()])
        for suffix in (".h5", ".keras"):
            if name != "caffe" or suffix == ".h5":  # TensorFlow cannot write its slices into an archive
                model.save(FOLDER / f"{name}{suffix}")
        pixels = random.integers(0, 256, (3, *model.input_shape[1:])).astype(np.uint8)
        answers[f"{name}_pixels"] = pixels
        for high in (255, 1):
            answers[f"{name}_{high}"] = model.predict(pixels.astype(np.float32) * (high / 255), verbose=0)
    np.savez_compressed(FOLDER / "answers.npz", **answers)


if __name__ == "__main__":
    sys.exit(main())
