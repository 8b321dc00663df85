"""What an index contains is counted by one thread at a time, while the others get what was counted before."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

from elasticsearch import Elasticsearch
from support.faults import Exchange, FaultProxy, passes
from support.indices import filled
from support.vectors import clustered, toy_encoder

from hashsearch.elastic.client import connect
from hashsearch.web.inventory import SECONDS, InventoryCache

VECTORS = clustered(20, 64)


class Pause:
    """A fault: the request waits until it is released."""

    def __init__(self) -> None:
        self.arrived = threading.Event()
        self.released = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.arrived.set()
        assert self.released.wait(60)
        passes(exchange)


def test_one_thread_counts_and_the_others_get_the_former_inventory(
    client: Elasticsearch, node: SimpleNamespace, fresh_name: str
) -> None:
    index = filled(client, fresh_name, toy_encoder(VECTORS), VECTORS)
    counts, time = FaultProxy(node.url, "_count"), [0.0]
    with connect(counts.url) as proxied, ThreadPoolExecutor() as threads:
        cache = InventoryCache(replace(index, client=proxied), lambda: time[0])

        first, second = Pause(), Pause()
        counts.plan(first, second)
        counting = [threads.submit(cache.latest) for _ in range(3)]
        first.released.set()
        former, *others = [future.result(60) for future in counting]
        assert (former.count, others) == (20, [former, former])

        time[0] = SECONDS
        refresh = threads.submit(cache.latest)
        assert second.arrived.wait(60)
        assert cache.latest() is former
        second.released.set()
        assert refresh.result(60).time == SECONDS
        assert cache.latest() is refresh.result(60)
    counts.stop()
