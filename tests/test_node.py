"""Real nodes: started, stopped and killed, and three of them as one cluster."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hashsearch.errors import NodeError
from hashsearch.node.account import process_identity
from hashsearch.node.jdk import newest_jdk
from hashsearch.node.node import LocalNode, start_cluster

START = """
import sys; from pathlib import Path; from hashsearch.node.node import LocalNode
LocalNode(Path(sys.argv[1]), sys.argv[2], heap="256m", server_folder=Path(sys.argv[3])).start(print)
"""

MakeNode = Callable[..., LocalNode]


@pytest.fixture(scope="module", autouse=True)
def java() -> Path:
    """These tests start nodes even if the others use an existing cluster; then a missing JDK skips them."""
    try:
        return newest_jdk(process_identity())
    except NodeError:
        if "HASHSEARCH_ES_URL" in os.environ:
            pytest.skip("no JDK for a local node, and HASHSEARCH_ES_URL names a cluster to use instead")
        raise


@pytest.fixture
def make_node(node_home: Path, server_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeNode]:
    monkeypatch.setenv(
        "ES_JAVA_OPTS", "-XX:TieredStopAtLevel=1"
    )  # starts faster; the speed of searches does not matter
    made: list[LocalNode] = []

    def make(name: str, heap: str = "256m", port: int | None = None) -> LocalNode:
        made.append(LocalNode(node_home, name, port, heap, server_folder))
        return made[-1]

    yield make
    for node in made:
        node.stop()


def ask(url: str | None, path: str, body: dict[str, int] | None = None) -> dict[str, dict[str, int]]:
    data = json.dumps(body).encode() if body is not None else None
    method = "PUT" if body is not None else "GET"
    request = urllib.request.Request(f"{url}{path}", data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        answer: dict[str, dict[str, int]] = json.load(response)
        return answer


def start_elsewhere(node: LocalNode) -> subprocess.Popen[bytes]:
    """Another program that has begun to start the node."""
    arguments = (str(node.folder.parent.parent), node.name, str(node.server_folder))
    program = subprocess.Popen([sys.executable, "-c", START, *arguments])
    while not node.processes():
        assert program.poll() is None
        time.sleep(0.05)
    return program


def test_a_node_is_started_killed_restarted_and_stopped(make_node: MakeNode) -> None:
    """One test, because every start takes seconds; the first start is by a program that is killed."""
    node, same = make_node("life"), make_node("life")
    assert not node.status().running

    starter = start_elsewhere(node)
    starter.kill()
    starter.wait()
    with ThreadPoolExecutor() as pool:
        first, second = pool.map(LocalNode.start, [node, same])
    assert first == second
    assert first.running and first.health == "green" and first.url and first.pid
    if os.geteuid() == 0:
        assert Path(f"/proc/{first.pid}").stat().st_uid != 0

    ask(first.url, "/kept", {})
    ask(first.url, "/kept/_doc/1?refresh=true", {"answer": 42})
    os.kill(first.pid, signal.SIGKILL)
    while node.processes():
        time.sleep(0.05)
    assert node.status().url is None

    again = node.start()
    assert again.pid != first.pid and again.url == first.url
    assert ask(again.url, "/kept/_doc/1")["_source"] == {"answer": 42}
    with pytest.raises(NodeError, match=rf"the node runs on port {node.ports()['http']}, not on 1: stop it first"):
        make_node("life", port=1).start()

    assert node.stop()
    assert not node.stop()
    assert not node.status().running


def test_a_taken_port_is_refused_and_named(make_node: MakeNode) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NodeError, match=f"port {port} must be free"):
            make_node("taken", port=port).start()


def test_another_program_that_names_the_folder_is_not_the_node(make_node: MakeNode) -> None:
    node = make_node("other")
    with subprocess.Popen([sys.executable, "-c", "input()", node.folder], stdin=subprocess.PIPE) as other:
        assert not node.status().running
        assert not node.stop()
        assert other.poll() is None


def test_an_early_end_shows_the_console(make_node: MakeNode) -> None:
    node = make_node("broken", heap="1x")
    with pytest.raises(NodeError, match=r"(?s)stopped during its start; the end of .*console\.log:.*-Xms1x"):
        node.start()
    assert not node.processes()


def test_an_interrupted_start_leaves_nothing_running(make_node: MakeNode) -> None:
    node = make_node("interrupted")
    starter = start_elsewhere(node)
    starter.send_signal(signal.SIGINT)
    assert starter.wait(60) != 0
    assert not node.processes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's node runs as another account")
def test_a_folder_closed_to_the_nodes_account_is_named(node_home: Path, server_folder: Path) -> None:
    closed = node_home / "closed"
    closed.mkdir(0o700)
    with pytest.raises(NodeError, match=f"must be able to enter '{closed}'"):
        LocalNode(closed / "home", server_folder=server_folder).start()


def test_three_nodes_are_one_cluster(make_node: MakeNode) -> None:
    nodes = [make_node(f"trio-{number}") for number in (1, 2, 3)]
    statuses = start_cluster(nodes)
    assert len({status.url for status in statuses}) == 3
    assert [node.health()["number_of_nodes"] for node in nodes] == [3, 3, 3]
    ask(statuses[0].url, "/spread", {})
    assert nodes[2].health("/spread?wait_for_status=green&timeout=60s")["active_shards"] == 2
    for node in nodes:
        assert node.stop()


STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1, flush=True); input()"


def test_a_node_that_ignores_the_first_signal_is_killed(make_node: MakeNode) -> None:
    node = make_node("stubborn")
    command = [sys.executable, "-c", STUBBORN, node.mark]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout and process.stdout.readline() == b"1\n"
        assert node.stop(timeout=0.5)
        assert process.wait() == -signal.SIGKILL


class Immortal(LocalNode):
    """A node whose process ignores all signals, as one that waits for a broken disk does."""

    def _signal(self, pid: int, number: signal.Signals) -> None:
        """Send nothing."""


def test_a_node_that_still_runs_is_not_reported_as_stopped(tmp_path: Path) -> None:
    node = Immortal(tmp_path, "immortal")
    with subprocess.Popen([sys.executable, "-c", "input()", node.mark], stdin=subprocess.PIPE) as process:
        while not node.status().running:
            time.sleep(0.01)
        message = f"the node 'immortal' still runs 0 s after it was killed: process {process.pid}"
        with pytest.raises(NodeError, match=f"^{message}$"):
            node.stop(timeout=0.2)
