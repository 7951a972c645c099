"""Layers that tf.keras wrote into files and keras 3 lacks: operations of TensorFlow, ConvNeXt's scaling, exact pooling.

Import this module only where keras on torch was imported before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import activations, layers, ops
from torch.nn import functional

TENSOR = "tensor"
"""In the arguments of an operation ``{TENSOR: k}`` stands for its k-th input."""


def _grayscale_to_rgb(images: Any) -> Any:
    return ops.repeat(images, 3, axis=-1)


def _rgb_to_grayscale(images: Any) -> Any:
    """TensorFlow's weights (ITU-R BT.601)."""
    return ops.sum(images * ops.convert_to_tensor([0.2989, 0.5870, 0.1140]), axis=-1, keepdims=True)


def _resize(images: Any, size: Any, method: str = "bilinear", antialias: bool = False) -> Any:
    return ops.image.resize(images, tuple(size), interpolation=method, antialias=antialias)


def _standardised(image: Any) -> Any:
    """tf.image.per_image_standardization: mean 0, deviation 1, the deviation at least that of one step."""
    axes = (-3, -2, -1)
    least = ops.prod(ops.convert_to_tensor([float(side) for side in image.shape[-3:]])) ** -0.5
    spread = ops.maximum(ops.std(image, axis=axes, keepdims=True), least)
    return (image - ops.mean(image, axis=axes, keepdims=True)) / spread


def _getitem(value: Any, slice_spec: Any) -> Any:
    """Slices; a step of -1, as reverses the channels, is taken where it stands alone."""
    spec = [_sliced(part) for part in (slice_spec if isinstance(slice_spec, list) else [slice_spec])]
    for place, part in enumerate(spec):
        if isinstance(part, slice) and part.step == -1 and part.start is None and part.stop is None:
            value = ops.flip(value, axis=place - len(spec) if Ellipsis in spec[:place] else place)
            spec[place] = slice(None)
    return value[tuple(spec)]


def _sliced(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    return Ellipsis if "class_name" in part else slice(part["start"], part["stop"], part["step"])


def _reduced(reduce: Callable[..., Any]) -> Callable[..., Any]:
    def reduced(input_tensor: Any, axis: Any = None, keepdims: bool = False) -> Any:
        return reduce(input_tensor, axis=tuple(axis) if isinstance(axis, list) else axis, keepdims=bool(keepdims))

    return reduced


OPERATIONS: dict[str, Callable[..., Any]] = {
    "__operators__.add": lambda x, y: x + y,
    "__operators__.radd": lambda x, y: x + y,
    "__operators__.getitem": _getitem,
    "math.add": lambda x, y: x + y,
    "math.subtract": lambda x, y: x - y,
    "math.multiply": lambda x, y: x * y,
    "math.truediv": lambda x, y: x / y,
    "math.divide": lambda x, y: x / y,
    "math.maximum": lambda x, y: ops.maximum(x, y),
    "math.minimum": lambda x, y: ops.minimum(x, y),
    "math.pow": lambda x, y: ops.power(x, y),
    "math.negative": lambda x: -x,
    "math.abs": lambda x: ops.abs(x),
    "math.square": lambda x: ops.square(x),
    "math.sqrt": lambda x: ops.sqrt(x),
    "math.rsqrt": lambda x: ops.rsqrt(x),
    "math.exp": lambda x: ops.exp(x),
    "math.sigmoid": lambda x: ops.sigmoid(x),
    "math.tanh": lambda x: ops.tanh(x),
    "math.reduce_mean": _reduced(ops.mean),
    "math.reduce_sum": _reduced(ops.sum),
    "math.reduce_max": _reduced(ops.max),
    "linalg.matmul": lambda a, b: ops.matmul(a, b),
    "nn.bias_add": lambda value, bias: value + bias,
    "nn.relu": lambda features: ops.relu(features),
    "nn.relu6": lambda features: ops.relu6(features),
    "nn.leaky_relu": lambda features, alpha=0.2: ops.leaky_relu(features, negative_slope=alpha),
    "nn.elu": lambda features: ops.elu(features),
    "nn.selu": lambda features: ops.selu(features),
    "nn.gelu": lambda features, approximate=False: ops.gelu(features, approximate=approximate),
    "nn.silu": lambda features, beta=1.0: features * ops.sigmoid(beta * features),
    "nn.softplus": lambda features: ops.softplus(features),
    "nn.sigmoid": lambda x: ops.sigmoid(x),
    "nn.tanh": lambda x: ops.tanh(x),
    "nn.softmax": lambda logits, axis=-1: ops.softmax(logits, axis=axis),
    "clip_by_value": lambda t, clip_value_min, clip_value_max: ops.clip(t, clip_value_min, clip_value_max),
    "cast": lambda x, dtype: ops.cast(x, dtype),
    "identity": lambda input: input,
    "concat": lambda values, axis: ops.concatenate(values, axis=axis),
    "stack": lambda values, axis=0: ops.stack(values, axis=axis),
    "reshape": lambda tensor, shape: ops.reshape(tensor, shape),
    "transpose": lambda a, perm=None: ops.transpose(a, perm),
    "expand_dims": lambda input, axis: ops.expand_dims(input, axis),
    "squeeze": lambda input, axis=None: ops.squeeze(input, axis),
    "image.grayscale_to_rgb": _grayscale_to_rgb,
    "image.rgb_to_grayscale": _rgb_to_grayscale,
    "image.resize": _resize,
    "image.per_image_standardization": _standardised,
}
"""What a TFOpLambda or SlicingOpLambda may call, by TensorFlow's names; options under TensorFlow's names too."""
NEUTRAL = {"name": (None,), "data_format": ("NHWC", None), "preserve_aspect_ratio": (False,), "conjugate": (False,)}
"""Options that are dropped, with the values that change nothing."""
ARITHMETIC = ("truediv", "truedivide", "divide", "multiply", "subtract", "add", "bias_add")
ACTIVATIONS = ("nn.softmax", "nn.sigmoid", "math.sigmoid")


class Operation(layers.Layer):
    """One operation of TensorFlow: ``function`` of OPERATIONS, its ``first`` argument and its ``options``."""

    def __init__(self, function: str, first: Any, options: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.function, self.first, self.options = function, first, options
        self.activation = activations.get(function.split(".")[1]) if function in ACTIVATIONS else None

    def call(self, inputs: Any) -> Any:
        tensors = inputs if isinstance(inputs, list) else [inputs]
        if self.activation is activations.linear:  # taken off, see models.adapters.keras
            return tensors[0]
        options = {key: _bound(value, tensors) for key, value in self.options.items()}
        return OPERATIONS[self.function](_bound(self.first, tensors), **options)


def pixel_scale(operation: Any) -> float | None:
    """The highest pixel value, 255 or 1, that an operation was made for if it is fed pixels; None for any other.

    ``operation`` is an Operation of TensorFlow or one of keras 3's own, such as ``image / 127.5``.
    """
    if isinstance(operation, Operation):
        name, given = operation.function.split(".")[-1], [operation.first, *operation.options.values()]
    else:
        arguments = operation._inbound_nodes[0].arguments
        name, given = type(operation).__name__.lower(), [*arguments.args, *arguments.kwargs.values()]
    listed = [part for value in given for part in (value if isinstance(value, list) else [value])]
    sizes = [abs(part) for part in listed if isinstance(part, int | float)]
    if name not in ARITHMETIC or not sizes:
        return None
    of_pixels = max(sizes) < 0.05 if name == "multiply" else max(sizes) > 2
    return 255.0 if of_pixels else 1.0


def _bound(value: Any, tensors: list[Any]) -> Any:
    if isinstance(value, dict) and TENSOR in value:
        return tensors[value[TENSOR]]
    if isinstance(value, list) and value and all(isinstance(part, float) for part in value):
        return ops.convert_to_tensor(value)
    return [_bound(part, tensors) for part in value] if isinstance(value, list) else value


class LayerScale(layers.Layer):
    """ConvNeXt's learned factor a channel (Touvron et al. 2021), as tf.keras.applications has it."""

    def __init__(self, init_values: float, projection_dim: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.gamma = self.add_weight(
            shape=(projection_dim,), initializer=keras.initializers.Constant(init_values), name="gamma"
        )

    def call(self, inputs: Any) -> Any:
        return inputs * self.gamma


class StochasticDepth(layers.Layer):
    """ConvNeXt's dropping of whole branches (Huang et al. 2016), which does nothing once trained."""

    def __init__(self, drop_path_rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def call(self, inputs: Any) -> Any:
        return inputs


class ExactAveragePooling2D(layers.AveragePooling2D):
    """As TensorFlow pools: padding never counts. Keras on torch repeats the border where the padding is uneven."""

    def call(self, inputs: Any) -> Any:
        if self.padding != "same" or self.data_format != "channels_last":
            return super().call(inputs)
        sides = inputs.shape[1:3]
        padding = [0, 0]  # of channels
        for side, size, stride in reversed(list(zip(sides, self.pool_size, self.strides, strict=True))):
            total = max(0, (-(-side // stride) - 1) * stride + size - side)
            padding += [total // 2, total - total // 2]
        sums = [
            functional.avg_pool2d(
                functional.pad(values, padding[2:]), self.pool_size, tuple(self.strides), divisor_override=1
            )
            for values in (inputs.permute(0, 3, 1, 2), inputs.new_ones(1, 1, *sides))
        ]
        return (sums[0] / sums[1]).permute(0, 2, 3, 1)


def hard_sigmoid_of_keras_2(x: Any) -> Any:
    """What Keras called hard_sigmoid before version 3, which made it flatter."""
    return ops.clip(0.2 * x + 0.5, 0.0, 1.0)


REBUILT = {layer.__name__: layer for layer in (Operation, LayerScale, StochasticDepth, ExactAveragePooling2D)}
"""Classes that keras 3 is told of when it loads a file."""
FUNCTIONS = {hard_sigmoid_of_keras_2.__name__: hard_sigmoid_of_keras_2}
"""Functions that it is told of."""
