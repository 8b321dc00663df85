"""Command line options that the jobs and the commands share, and what comes of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashsearch.errors import HashsearchError

if TYPE_CHECKING:
    pass

import functools
import warnings
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    pass

Command = TypeVar("Command", bound=Callable[..., Any])

EXIT_FAILED, EXIT_REJECTS = 1, 3  # 2 is click's own, for a wrong command line

catalogs_argument = click.argument(
    "catalogs", metavar="CATALOG...", nargs=-1, required=True, type=click.Path(path_type=Path)
)
as_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON on standard output.")


def embedder_options(command: Command) -> Command:
    """Add `--embedder` and `--weights` to a command."""
    weights = click.option("--weights", help="Its weights: a file, a SavedModel folder or a TensorFlow Hub address.")
    name = click.option(
        "--embedder",
        default="bit-tiny",
        show_default=True,
        help="Network: a name of `hashsearch embedders`, the folder of a trained one, or a .json file.",
    )
    return name(weights(command))


def _models(_: click.Context, __: click.Parameter, texts: tuple[str, ...]) -> Any:
    from hashsearch.config import read_models

    try:
        return read_models(texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


_SETTINGS = {
    "index": click.option("--index", metavar="NAME", help="Index to use.  [default: HASHSEARCH_INDEX or 'images']"),
    "encoder": click.option(
        "--encoder",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of a fitted encoder.  [default: HASHSEARCH_ENCODER or the bundled one]",
    ),
    "models": click.option(
        "--model",
        "models",
        multiple=True,
        callback=_models,
        metavar="NAME=INDEX:ENCODER",
        help="Index that the page offers under a name, with the folder of its encoder; repeatable, the first is shown "
        "first.  [default: HASHSEARCH_MODELS or the one of --index and --encoder]",
    ),
    "es_url": click.option(
        "--es-url", metavar="URL", help="Elasticsearch to use.  [default: HASHSEARCH_ES_URL or a local node]"
    ),
    "home": click.option(
        "--home",
        type=click.Path(file_okay=False, path_type=Path),
        help="Folder of the local node, job states and trained embedders.  "
        "[default: HASHSEARCH_HOME or the user's data folder]",
    ),
    "host": click.option("--host", help="Address to listen on.  [default: HASHSEARCH_HOST or 127.0.0.1]"),
    "port": click.option("--port", type=click.IntRange(1, 65535), help="[default: HASHSEARCH_PORT or 5800]"),
    "image_roots": click.option(
        "--images",
        "image_roots",
        multiple=True,
        type=click.Path(file_okay=False, exists=True, path_type=Path),
        help="Folder whose indexed pictures the page may show; repeatable.  [default: HASHSEARCH_IMAGE_ROOTS or none]",
    ),
}


def with_settings(*names: str) -> Callable[[Command], Command]:
    """Add the options named to a command, which then gets `settings`: the environment's, with the options on top."""

    def decorate(command: Command) -> Command:
        @functools.wraps(command)
        def run(**arguments: Any) -> Any:
            from hashsearch.config import Settings

            given = {name: arguments.pop(name) for name in names}
            chosen = {name: value for name, value in given.items() if value not in (None, ())}
            return command(settings=replace(Settings.from_environment(), **chosen), **arguments)

        decorated: Any = run
        for name in reversed(names):
            decorated = _SETTINGS[name](decorated)
        return decorated

    return decorate


def networks_and_files(texts: Sequence[str]) -> dict[str, str]:
    """The files of networks by name, from options NETWORK=FILE. Raises click's BadParameter."""
    files = {}
    for text in texts:
        network, equals, file = text.partition("=")
        if not equals or not file:
            raise click.BadParameter(f"must be NETWORK=FILE, got '{text}'", param_hint="--weights")
        files[network] = file
    return files


def notify(sentence: str) -> None:
    """Tell the person at the terminal; answers that programs read go to standard output instead."""
    click.echo(sentence, err=True)


def run_reporting_errors(command: click.Command) -> None:
    """Run a command; one of our errors, or the system's about a file, becomes one line and exit code 1."""
    warnings.filterwarnings("ignore", module="PIL")  # of damage that either becomes an error of ours or does not matter
    try:
        command()
    except HashsearchError as error:
        notify(f"{error.code}: {error}")
        sys.exit(EXIT_FAILED)
    except OSError as error:
        notify(f"system_error: {error}")
        sys.exit(EXIT_FAILED)


def attributes_of(pairs: tuple[str, ...]) -> dict[str, list[str]]:
    """Values by name, of options NAME=VALUE."""
    wanted: dict[str, list[str]] = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals:
            raise click.BadParameter(f"must be NAME=VALUE, got '{pair}'", param_hint="--attribute")
        wanted.setdefault(name, []).append(value)
    return wanted
