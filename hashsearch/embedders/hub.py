"""Modules of TensorFlow Hub by their address: downloaded once, into the cache of the tensorflow-hub package."""

from __future__ import annotations

import warnings
from urllib.error import HTTPError

from hashsearch.embedders.weights import first_line
from hashsearch.errors import ConfigError, WeightsNotFound


def resolve(address: str) -> str:
    """The local folder of a module. Raises WeightsNotFound, or ConfigError without tensorflow-hub."""
    try:
        with warnings.catch_warnings():  # of its own import of pkg_resources, which no user can act on
            warnings.filterwarnings("ignore", "pkg_resources is deprecated as an API")
            warnings.filterwarnings("ignore", "Deprecated call to `pkg_resources")
            import tensorflow_hub

        return str(tensorflow_hub.resolve(address))
    except ImportError as error:
        raise ConfigError(f"{address} needs tensorflow-hub: pip install 'hashsearch[hub]' ({error})") from error
    except (OSError, RuntimeError, ValueError) as error:
        if isinstance(error, HTTPError):
            error.close()  # it holds the connection
        raise WeightsNotFound(f"{address} could not be fetched from TensorFlow Hub: {first_line(error)}") from error
