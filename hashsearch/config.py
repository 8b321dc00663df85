"""Settings: read once from the environment, then passed on as a value."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from hashsearch.errors import ConfigError
from hashsearch.images.limits import DEFAULT, Limits
from hashsearch.images.sources import ImageReader


def default_home(environ: Mapping[str, str]) -> Path:
    """The folder for the local node, job states and models: `HASHSEARCH_HOME`, else the user's data folder.

    Root's own folder is closed to the unprivileged user that the node must run as, so root gets `/var/lib/hashsearch`.
    """
    if environ.get("HASHSEARCH_HOME"):
        return Path(environ["HASHSEARCH_HOME"]).expanduser().absolute()
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        return Path("/var/lib/hashsearch")
    return Path(environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share").absolute() / "hashsearch"


def _port(text: str) -> int:
    port = int(text)
    if not 1 <= port <= 65535:
        raise ValueError("must be 1 to 65535")
    return port


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise ValueError("must be a number above 0")
    return number


def _switch(text: str) -> bool:
    try:
        return _SWITCHES[text.strip().lower()]
    except KeyError:
        raise ValueError(f"must be one of {', '.join(_SWITCHES)}") from None


def _parts(text: str, separator: str) -> list[str]:
    """The parts of a list: separated, or the texts of a JSON list, in which they may contain the separator."""
    if not text.lstrip().startswith("["):
        return text.split(separator)
    parts = json.loads(text)
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("a JSON list must contain texts only")
    return list(parts)


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _folders(text: str) -> tuple[Path, ...]:
    return tuple(_path(part).absolute() for part in _parts(text, os.pathsep) if part)


@dataclass(frozen=True)
class Model:
    """A choice on the page: its name, its index and the folder of its encoder, None for the bundled one."""

    name: str
    index: str
    encoder: Path | None = None


def read_models(texts: Sequence[str]) -> tuple[Model, ...]:
    """Models from texts `NAME=INDEX:ENCODER`, or `NAME=INDEX` with the bundled encoder; ValueError for another form.

    The name ends at the first `=` and the index at the first `:`, so a path may contain both.
    """
    models: dict[str, Model] = {}
    for text in texts:
        name, _, address = (part.strip() for part in text.partition("="))
        index, _, encoder = address.partition(":")
        if not name or not index:
            raise ValueError(f"a model must be NAME=INDEX:ENCODER or NAME=INDEX, got '{text}'")
        if name in models:
            raise ValueError(f"each model must have a name of its own, got '{name}' twice")
        models[name] = Model(name, index, _path(encoder).absolute() if encoder else None)
    return tuple(models.values())


def _models(text: str) -> tuple[Model, ...]:
    try:
        return read_models(_parts(text, ","))
    except ValueError as error:
        if "," not in text or text.lstrip().startswith("["):
            raise
        raise ValueError(f'{error}; a path with a comma is written in a JSON list: ["NAME=INDEX:ENCODER"]') from error


_SWITCHES = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_CASTS: dict[str, Callable[[str], Any]] = {
    "es_ca": _path,
    "encoder": _path,
    "models": _models,
    "port": _port,
    "image_roots": _folders,
    "allow_private": _switch,
    "max_bytes": _positive,
    "max_pixels": _positive,
    "max_seconds": _seconds,
}


@dataclass(frozen=True)
class Settings:
    """All settings. `from_environment` reads each from the variable of its name: `es_url` from `HASHSEARCH_ES_URL`.

    Parameters
    ----------
    home : Path
        Folder for the local node, checkpoints, embedders, downloaded weights, and the demo's catalog and encoders.
    es_url : str, optional
        Address of the Elasticsearch cluster; without it the local node is used.
    es_api_key : str, optional
        API key of the cluster.
    es_user, es_password : str, optional
        User of the cluster, instead of an API key.
    es_ca : Path, optional
        File with the cluster's certificate authority; without it the system's are used.
    index : str
        Name of the index.
    encoder : Path, optional
        Folder of the encoder; without it the bundled one is used.
    models : tuple of Model
        Choices that the page offers, instead of the one index and encoder.
    host : str
        Address that the page is served at.
    port : int
        Port that the page is served at.
    image_roots : tuple of Path
        Folders whose indexed images the page may show.
    allow_private : bool
        Whether images are also fetched from private network addresses.
    max_bytes : int
        Limit on the bytes of one image.
    max_pixels : int
        Limit on the pixels of one image.
    max_seconds : float
        Limit on the processor time of decoding one image, in seconds.
    """

    home: Path
    es_url: str | None = None
    es_api_key: str | None = field(default=None, repr=False)
    es_user: str | None = None
    es_password: str | None = field(default=None, repr=False)
    es_ca: Path | None = None
    index: str = "images"
    encoder: Path | None = None
    models: tuple[Model, ...] = ()
    host: str = "127.0.0.1"
    port: int = 5800
    image_roots: tuple[Path, ...] = ()
    allow_private: bool = False
    max_bytes: int = DEFAULT.max_bytes
    max_pixels: int = DEFAULT.max_pixels
    max_seconds: float = DEFAULT.max_seconds

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Settings from environment variables; empty means not set.

        Parameters
        ----------
        environ : mapping of str to str
            The variables, `HASHSEARCH_...`.

        Returns
        -------
        Settings

        Raises
        ------
        ConfigError
            A variable has a value that cannot be used; the message names it.
        """
        values: dict[str, Any] = {"home": default_home(environ)}
        for name in (setting.name for setting in fields(cls) if setting.name != "home"):
            variable = f"HASHSEARCH_{name.upper()}"
            if text := environ.get(variable):
                try:
                    values[name] = _CASTS.get(name, str)(text)
                except (ValueError, RuntimeError) as error:  # RuntimeError: ~NAME of an unknown user
                    raise ConfigError(f"{variable} cannot be '{text}': {error}") from error
        if values.get("es_user") and not values.get("es_password"):
            raise ConfigError("HASHSEARCH_ES_USER is set, so HASHSEARCH_ES_PASSWORD must be set too")
        return cls(**values)

    @property
    def embedders(self) -> Path:
        """The folder of trained embedders; each is named like its own folder in it."""
        return self.home / "embedders"

    @property
    def weights(self) -> Path:
        """The folder of weights that `hashsearch embedders fetch` downloaded; those of Keras are in Keras's cache."""
        return self.home / "weights"

    @property
    def limits(self) -> Limits:
        """What one image may cost."""
        return Limits(self.max_bytes, self.max_pixels, self.max_seconds)

    @property
    def image_reader(self) -> ImageReader:
        """Reads images within the limits, and from private addresses only if that is allowed."""
        return ImageReader(self.limits, self.allow_private)
