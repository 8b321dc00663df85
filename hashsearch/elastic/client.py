"""The Elasticsearch client, and its errors as StoreErrors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from elastic_transport import ConnectionError as TransportConnectionError
from elastic_transport import ConnectionTimeout, TransportError
from elasticsearch import ApiError, Elasticsearch, OrjsonSerializer

from hashsearch.config import Settings
from hashsearch.errors import ConfigError, IndexNotFound, RequestTooLarge, StoreError, StoreUnavailable

_OVERLOADED = (429, 502, 503, 504)
_TOO_LARGE = 413
CONNECTIONS = 64  # opened when they are needed; the endpoint has fewer threads, so that none waits for another's
_QUOTED = 160  # characters of a response that is not Elasticsearch's


def connect(url: str, settings: Settings | None = None, *, connections: int = CONNECTIONS) -> Elasticsearch:
    """A client for one cluster, with the credentials of the settings; no request is sent yet.

    `connections` is the number of requests that can run at the same time. The client never retries: callers know what
    is safe to send again. ConfigError when the address is invalid.
    """
    options: dict[str, Any] = {}
    if settings and settings.es_api_key:
        options["api_key"] = settings.es_api_key
    elif settings and settings.es_user:
        options["basic_auth"] = (settings.es_user, settings.es_password)
    if settings and settings.es_ca:
        options["ca_certs"] = str(settings.es_ca)
    try:
        return Elasticsearch(
            url,
            serializer=OrjsonSerializer(),
            connections_per_node=connections,
            request_timeout=30,
            max_retries=0,
            **options,
        )
    except ValueError as error:
        raise ConfigError(
            f"Elasticsearch's address must be like http://localhost:9200, got '{url}': {error}"
        ) from error


@contextmanager
def store_errors(target: str) -> Iterator[None]:
    """Turn the client's errors into StoreErrors; `target` is the index or alias of the request."""
    try:
        yield
    except ApiError as error:
        if isinstance(error.body, dict) and "error" in error.body:
            raise store_error(target, error.meta.status, error.body["error"]) from error
        raise _foreign_error(target, error.meta.status, error.body) from error
    except (TransportConnectionError, ConnectionTimeout) as error:
        raise StoreUnavailable(f"Elasticsearch does not answer: {error.message}") from error
    except TransportError as error:  # a response that was cut off, or a proxy's
        raise StoreUnavailable(f"Elasticsearch returned an unusable response: {str(error)[:200]}") from error


def store_error(target: str, status: int, error: Any) -> StoreError:
    """The StoreError for the `error` of a response."""
    details = error if isinstance(error, dict) else {"type": error}
    if details.get("type") == "index_not_found_exception":
        return IndexNotFound(f"there is no index '{target}'; create it with `hashsearch index`")
    cause = next(iter(details.get("root_cause", ())), details)  # more precise than "all shards failed"
    if details.get("type") == "cluster_block_exception" and "flood-stage" in str(details.get("reason")):
        return StoreError(f"the disk of Elasticsearch is full, so '{target}' cannot be changed: {details['reason']}")
    return _kind(status)(f"Elasticsearch answered {status} for '{target}': {cause.get('type')}: {cause.get('reason')}")


def _foreign_error(target: str, status: int, body: Any) -> StoreError:
    """The StoreError for a response that is not Elasticsearch's, but a proxy's or another server's."""
    text = " ".join(re.sub(r"(?s)<(style|script|head).*?</\1>|<[^>]*>", " ", str(body or "")).split())
    if not text:  # also Elasticsearch's own to a HEAD request
        return _kind(status)(f"Elasticsearch answered {status} for '{target}' without a reason")
    quoted = f"{text[:_QUOTED]}..." if len(text) > _QUOTED else text
    return _kind(status)(f"a server that is not Elasticsearch answered {status} for '{target}': '{quoted}'")


def _kind(status: int) -> type[StoreError]:
    if status == _TOO_LARGE:
        return RequestTooLarge
    return StoreUnavailable if status in _OVERLOADED else StoreError
