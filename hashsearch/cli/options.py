"""Options that several commands share, and the kinds of values they take."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, cast

import click

from hashsearch.errors import WeightsNotFound

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


class OutputPath(click.Path):
    """A path to write, in a folder where that is possible: it is tried before the work, not after it.

    With `endings` its name must have one of them, so that no catalog or photo is overwritten by a slip.
    """

    def __init__(self, *endings: str, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(file_okay=file_okay, dir_okay=dir_okay, path_type=Path)
        self.endings = endings

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> Path:
        path = Path(os.fsdecode(super().convert(value, param, context)))
        if self.endings and path.suffix.lower() not in self.endings:
            self.fail(f"'{path}' must end in {' or '.join(self.endings)}", param, context)
        parent = path.absolute().parent
        while not parent.exists():
            parent = parent.parent
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            self.fail(f"'{path}' cannot be written: '{parent}' is not a folder that may be written to", param, context)
        return path


FILE = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
OUTPUT_FILE = OutputPath(dir_okay=False)
OUTPUT_FOLDER = OutputPath(file_okay=False)
EXISTING_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
EXISTING_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


class Pair(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.2
    """Two texts with `=` between them: `"NAME=VALUE"` -> `("NAME", "VALUE")`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        first, equals, second = value.partition("=")
        if not (first and equals and second):
            self.fail(f"must be {self.name}, got '{value}'", param, context)
        return first, second


class WeightsPair(Pair):
    """A network and its weights; WeightsNotFound unless they exist or are an address."""

    def __init__(self) -> None:
        super().__init__("NETWORK=FILE")

    def convert(self, value: Any, param: click.Parameter | None, context: click.Context | None) -> tuple[str, str]:
        network, file = super().convert(value, param, context)
        if not file.startswith(("http://", "https://")) and not Path(file).exists():
            raise WeightsNotFound(f"the weights of {network} must be a file, a folder or an address, found no {file}")
        return network, file


catalogs_argument = click.argument(
    "catalogs", metavar="CATALOG...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
category_option = click.option("--category", multiple=True, help="Only images of this category; repeatable.")
attribute_option = click.option(
    "--attribute",
    "attributes",
    multiple=True,
    type=Pair("NAME=VALUE"),
    help="Only images with this attribute; repeatable.",
)
weights_option = click.option(
    "--weights", multiple=True, type=WeightsPair(), help="Weights of a network by its name; repeatable."
)


def with_options(command: Decorated, options: Sequence[Callable[[Any], Any]]) -> Decorated:
    """The command with these options, in the order of its help."""
    for option in reversed(options):
        command = option(command)
    return command


def embedder_options(command: Decorated) -> Decorated:
    """Add `--embedder` and `--weights` to a command."""
    weights = click.option(
        "--weights",
        help="Its weights: a file, a SavedModel folder or a TensorFlow Hub address.  [default: "
        "the bundled ones, or those that `hashsearch embedders fetch` downloaded]",
    )
    name = click.option(
        "--embedder",
        default="efficientnet-lite0",
        show_default=True,
        help="Network: a name from `hashsearch embedders`, the folder of a trained one, or a .json file.",
    )
    return with_options(command, [name, weights])


def keypoint_options(command: Decorated) -> Decorated:
    """Add `--features`, `--keypoints` and `--side` to a command."""
    options = (
        click.option("--features", default="sift", show_default=True, help="Local features: sift, orb or akaze."),
        click.option(
            "--keypoints", default=256, show_default=True, help="Keypoints per image at most, strongest first."
        ),
        click.option(
            "--side", default=320, show_default=True, help="Longer side, in pixels, to which images are reduced."
        ),
    )
    return with_options(command, options)


def _models(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> Any:
    from hashsearch.config import read_models

    try:
        return read_models(texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


_SETTINGS = {
    "index": click.option("--index", metavar="NAME", help="Index to use.  [default: HASHSEARCH_INDEX or 'images']"),
    "encoder": click.option(
        "--encoder", type=FOLDER, help="Folder of a fitted encoder.  [default: HASHSEARCH_ENCODER or the bundled one]"
    ),
    "models": click.option(
        "--model",
        "models",
        multiple=True,
        callback=_models,
        metavar="NAME=INDEX:ENCODER",
        help="Model that the page offers: its name, its index and the folder of its encoder; repeatable, the first is "
        "the default.  [default: HASHSEARCH_MODELS or one made from --index and --encoder]",
    ),
    "es_url": click.option(
        "--es-url", metavar="URL", help="Elasticsearch to use.  [default: HASHSEARCH_ES_URL or a local node]"
    ),
    "home": click.option(
        "--home",
        type=FOLDER,
        help="Folder for the local node, checkpoints, trained embedders and downloaded weights.  "
        "[default: HASHSEARCH_HOME or the user's data folder]",
    ),
    "host": click.option("--host", help="Address to listen on.  [default: HASHSEARCH_HOST or 127.0.0.1]"),
    "port": click.option(
        "--port", type=click.IntRange(1, 65535), help="Port to listen on.  [default: HASHSEARCH_PORT or 5800]"
    ),
    "image_roots": click.option(
        "--images",
        "image_roots",
        multiple=True,
        type=EXISTING_FOLDER,
        help="Folder of indexed images that may be shown; repeatable.  [default: HASHSEARCH_IMAGE_ROOTS or none]",
    ),
    "allow_private": click.option(
        "--allow-private",
        is_flag=True,
        default=None,
        help="Also fetch images from private network addresses.  [default: HASHSEARCH_ALLOW_PRIVATE or no]",
    ),
}


def with_settings(*names: str) -> Callable[[Decorated], Decorated]:
    """Add these options to a command, which gets `settings`: the environment's, overridden by the options."""

    def decorate(command: Decorated) -> Decorated:
        @functools.wraps(command)
        def run(**arguments: Any) -> Any:
            from hashsearch.config import Settings

            given = {name: arguments.pop(name) for name in names}
            chosen = {name: value for name, value in given.items() if value not in (None, ())}
            return command(settings=replace(Settings.from_environment(), **chosen), **arguments)

        return with_options(cast("Decorated", run), [_SETTINGS[name] for name in names])

    return decorate


def values_by_name(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """All values of each name, of options NAME=VALUE."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return values
