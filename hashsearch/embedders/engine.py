"""The engine that runs networks: OpenVINO, which starts in half a second. It is imported here and nowhere else.

It reads ONNX files, SavedModels and its own format; networks of this package are built of its operators.
"""

from __future__ import annotations

import sys
import threading
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hashsearch.embedders.preprocessing import PRECISIONS, Preprocessing
from hashsearch.errors import EmbedderError, WeightsMismatch

Model = Any  # openvino.Model
Node = Any  # openvino.Node or openvino.Output

TOGETHER = 8  # images in one request of several; with more, what is computed in between leaves the caches
ENGINE_ERRORS = (RuntimeError, ValueError, TypeError)  # for what it cannot read or build


@cache
def openvino() -> Any:
    """OpenVINO without the package that reports its use to its makers: hashsearch sends nothing to anybody.

    Where `openvino_telemetry` cannot be imported OpenVINO takes a stub of its own, so it is marked as missing.
    """
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as the import system marks what is missing
    import openvino

    return openvino


@cache
def _core() -> Any:
    return openvino().Core()


def operators() -> Any:
    """The operators that networks are built of."""
    openvino()
    from openvino import opset13

    return opset13


def has_bfloat16() -> bool:
    """Whether this processor computes in bfloat16."""
    return "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def read(path: Path) -> Model:
    """The model in an ONNX file, a SavedModel folder or an `.xml` file of OpenVINO. Raises ENGINE_ERRORS."""
    return _core().read_model(path)


def save(model: Model, path: Path) -> None:
    """Write a model as an `.xml` file, with its weights beside it as `.bin`."""
    openvino().save_model(model, path, compress_to_fp16=False)


def reason(error: Exception) -> str:
    """What an error of the engine says, without the places in its sources."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("Exception from", "Check '"))]
    return said[0].partition(" Please check")[0] if said else type(error).__name__


class Network:
    """A network that runs: prepared images `(n, size, size, 3) uint8` to vectors `(n, dims) float32`.

    May be called from many threads. One image is computed by all cores, of several images one by each core.
    """

    def __init__(self, model: Model, precision: str) -> None:
        self._model = model
        self.dims: int = model.outputs[0].get_partial_shape()[1].get_length()
        self._precision = PRECISIONS[precision]
        self._lock = threading.Lock()

    def __call__(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        with self._lock:
            if len(pixels) == 1:
                return self._single(pixels)[0].copy()  # type: ignore[no-any-return]  # OpenVINO is Any
            parts = {row: np.array([]) for row in range(0, len(pixels), TOGETHER)}
            queue = self._queue
            queue.set_callback(lambda request, row: parts.update({row: request.get_output_tensor().data.copy()}))
            for row in parts:
                queue.start_async(pixels[row : row + TOGETHER], row)
            queue.wait_all()
        return np.concatenate(list(parts.values()))

    @cached_property
    def _single(self) -> Any:
        return self._compiled("LATENCY")

    @cached_property
    def _queue(self) -> Any:
        return openvino().AsyncInferQueue(self._compiled("THROUGHPUT"))

    def _compiled(self, hint: str) -> Any:
        # Without a precision OpenVINO takes bfloat16 wherever the processor has it.
        settings = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": hint}
        return _core().compile_model(self._model, "CPU", settings)


def network_of(model: Model, preprocessing: Preprocessing, source: object) -> Network:
    """The network of a model whose input is images `(n, 3, size, size)` or `(n, size, size, 3) float32`.

    `source` names it in errors: WeightsMismatch for another input, EmbedderError for an output that is not one vector
    per image.
    """
    ov, model = openvino(), model.clone()
    layout = _fix_input(model, preprocessing.input_size, source)
    output = _pooled(_chosen_output(model, preprocessing.output, source), preprocessing.pooling, layout, source)
    steps = ov.preprocess.PrePostProcessor(ov.Model([output], model.get_parameters(), "embedder"))
    steps.input().tensor().set_element_type(ov.Type.u8).set_layout(ov.Layout("NHWC"))
    steps.input().model().set_layout(ov.Layout(layout))
    scale, shift = preprocessing.scale_and_shift()
    prepare = steps.input().preprocess().convert_element_type(ov.Type.f32)
    prepare.mean((-shift / scale).tolist()).scale((1 / scale).tolist())
    if preprocessing.channels == "bgr":
        prepare.reverse_channels()
    steps.output().tensor().set_element_type(ov.Type.f32)
    return Network(steps.build(), preprocessing.precision)


def _fix_input(model: Model, size: int, source: object) -> str:
    """Let the model take any number of images of that size; the layout of its input, "NCHW" or "NHWC"."""
    if len(model.inputs) != 1:
        raise WeightsMismatch(f"a network must have one input, for images, got {len(model.inputs)} in {source}")
    shape = model.inputs[0].get_partial_shape()
    sides = [None if part.is_dynamic else part.get_length() for part in shape] if shape.rank.is_static else []
    layout = "NCHW" if len(sides) == 4 and sides[1] == 3 else "NHWC"
    wanted = [-1, 3, size, size] if layout == "NCHW" else [-1, size, size, 3]
    rule = f"must take images ({'n, 3, {0}, {0}' if layout == 'NCHW' else 'n, {0}, {0}, 3'})".format(size)
    if len(sides) != 4 or any(own not in (None, part) for own, part in zip(sides[1:], wanted[1:])):
        raise WeightsMismatch(f"{source} {rule}, its input is {shape}")
    try:
        model.reshape(wanted)
    except ENGINE_ERRORS as error:
        raise WeightsMismatch(f"{source} {rule} in any number n, its input is {shape} and nothing else") from error
    return layout


def _chosen_output(model: Model, name: str | None, source: object) -> Node:
    known = {name: output for output in model.outputs for name in output.get_names()}
    if name is None and len(model.outputs) == 1:
        return model.outputs[0].get_node().input_value(0)
    if name is None or name not in known:
        raise EmbedderError(f"the output of {source} must be one of {', '.join(sorted(known))}, got {name!r}")
    return known[name].get_node().input_value(0)


def _pooled(output: Node, pooling: str | None, layout: str, source: object) -> Node:
    """The output as one vector per image: of maps `(n, h, w, dims)` or tokens `(n, tokens, dims)` pooled."""
    op, shape = operators(), output.get_partial_shape()
    rank = shape.rank.get_length() if shape.rank.is_static else 0
    if rank == 2 and pooling is None:
        return output
    places = {3: [1], 4: [2, 3] if layout == "NCHW" else [1, 2]}.get(rank)
    if places and pooling in ("average", "max"):
        reduce = op.reduce_mean if pooling == "average" else op.reduce_max
        return reduce(output, np.array(places), False)
    if rank == 3 and pooling == "first":  # the class token of a transformer
        return op.gather(output, np.array(0), np.array(1))
    raise EmbedderError(
        f'a network must return one vector per image, or tokens or maps that "pooling" makes one of ("average", "max", '
        f'or "first" token), {source} returns {shape} and the pooling is {pooling!r}'
    )
