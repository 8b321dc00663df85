"""Networks on the engine beside TensorFlow, in turn: `python -m benchmarks.networks [NAME...]`.

Weights of BiT networks are random, which takes the same time. For each: images a second in batches, processor time of
an image, and the time of a single one.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click
import numpy as np

from hashsearch import embedders
from hashsearch.cli.running import run_reporting_errors
from hashsearch.embedders.architectures import BIT, LITE, parameter_shapes

Forward = Callable[[np.ndarray], object]


@click.command()
@click.argument("names", nargs=-1)
@click.option("--images", default=256, show_default=True, help="Images of one round.")
@click.option("--rounds", default=3, show_default=True, help="Rounds, of which the fastest counts.")
def main(names: tuple[str, ...], images: int, rounds: int) -> None:
    """Print a line for each network and engine."""
    click.echo(f"{'network':20} {'engine':22} images/s  cpu-ms  single, ms")
    for name in names or ("efficientnet-lite0", "bit-m-r50x1"):
        with tempfile.TemporaryDirectory() as folder:
            engines = forwards(name, Path(folder))
            best = {engine: [np.inf] * 3 for engine in engines}
            for _ in range(rounds):
                for engine, (forward, size) in engines.items():
                    best[engine] = [min(pair) for pair in zip(best[engine], timed(forward, size, images))]
        for engine, (seconds, cpu, single) in best.items():
            click.echo(f"{name:20} {engine:22} {1 / seconds:8.1f} {1000 * cpu:7.1f} {1000 * single:10.1f}")


def timed(forward: Forward, size: int, images: int) -> list[float]:
    """Seconds an image in batches of 128, processor seconds an image, and seconds of a single one."""
    batch = np.random.default_rng(0).integers(256, size=(min(128, images), size, size, 3), dtype=np.uint8)
    forward(batch[:1])
    forward(batch[:16])
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(images // len(batch)):
        forward(batch)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    single = time.perf_counter()
    for row in range(8):
        forward(batch[row : row + 1])
    done = images // len(batch) * len(batch)
    return [wall / done, cpu / done, (time.perf_counter() - single) / 8]


def forwards(name: str, folder: Path) -> dict[str, tuple[Forward, int]]:
    """The functions of prepared images, by engine, and the side of the images."""
    weights = embedders.own_weights(name) if name in LITE or name == "bit-tiny" else _random(name, folder)
    engines: dict[str, tuple[Forward, int]] = {}
    for precision in ("float32", "bfloat16"):
        embedder = embedders.load(name, weights, {"precision": precision})
        engines[f"OpenVINO {precision}"] = embedder.forward, embedder.input_size
    return {"TensorFlow float32": (_tensorflow(name, weights, embedder.input_size), embedder.input_size), **engines}


def _tensorflow(name: str, weights: Path, size: int) -> Forward:
    embedders.import_tensorflow("to compare with")
    import tensorflow as tf

    from hashsearch.training.networks import TRUNKS

    model, scale = TRUNKS[name].make(size, weights), TRUNKS[name].preprocessing.network_input

    @tf.function(input_signature=[tf.TensorSpec([None, size, size, 3], tf.uint8)])  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def forward(pixels: tf.Tensor) -> tf.Tensor:
        return model(scale(tf.cast(pixels, tf.float32)), training=False)

    return partial(_in_batches, forward)


def _in_batches(forward: Callable[[np.ndarray], object], pixels: np.ndarray) -> None:
    for first in range(0, len(pixels), 32):  # larger ones are no faster there
        forward(pixels[first : first + 32])


def _random(name: str, folder: Path) -> Path:
    rng = np.random.default_rng(0)
    shapes = parameter_shapes(BIT[name])
    np.savez(
        folder / "random.npz",
        allow_pickle=False,
        **{key: rng.normal(0.1, 0.2, shape).astype("f") for key, shape in shapes.items()},
    )
    return folder / "random.npz"


if __name__ == "__main__":
    run_reporting_errors(main)
