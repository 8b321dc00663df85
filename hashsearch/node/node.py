"""A local Elasticsearch: real nodes on this machine, bound to loopback, one or several as a cluster.

    home/
      server/elasticsearch-VERSION/   the program, shared by all nodes
      nodes/NAME/
        node.json                     the ports of the latest start, reused by the next one
        config/ run/                  recreated at every start
        data/ logs/ console.log

There is no pid file, which could be stale: the processes of a node are those with its mark in their command line.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hashsearch.errors import NodeError
from hashsearch.files import read_json, write_json
from hashsearch.node import server
from hashsearch.node.account import check_reach, hand_over, process_identity
from hashsearch.node.jdk import newest_jdk
from hashsearch.node.server import Notify, locked, make_folder

LOOPBACK = "127.0.0.1"
PASSED_ON = ("PATH", "LANG", "LC_ALL", "TZ")

SETTINGS: dict[str, Any] = {
    "cluster.name": "hashsearch",
    "network.host": LOOPBACK,
    "xpack.security.enabled": False,
    # Writes go through an alias; with this on, writing to a missing alias would create an index with guessed types.
    "action.auto_create_index": False,
    # With it on, a search reads the clock for each code that it passes: a third of the time with cells.
    "search.low_level_cancellation": False,
    # The defaults are percentages of the disk (85, 90, 95 %), reached on laptops that still have many GB free.
    "cluster.routing.allocation.disk.watermark.low": "2gb",
    "cluster.routing.allocation.disk.watermark.high": "1gb",
    "cluster.routing.allocation.disk.watermark.flood_stage": "500mb",
}

# Elasticsearch writes up to 2 GB of garbage collection logs by default.
NO_GC_LOG = ("-Xlog:disable", "-Xlog:all=warning:stderr:utctime,level,tags")


def quiet(sentence: str) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class NodeStatus:
    """State of a node; `url` and `pid` are None while it is stopped, `health` also while it does not answer."""

    name: str
    running: bool
    url: str | None
    pid: int | None
    health: str | None
    version: str
    folder: Path


class LocalNode:
    """One node, in the folder `home/nodes/name`.

    `port` is that of HTTP, by default any free one. `heap` is in Java's notation (512m, 1g). `server_folder` is where
    the program is, if several homes share it.
    """

    command = "elasticsearch"  # in the server's `bin`
    prefix = "ES"  # of the environment variables that it reads

    def __init__(
        self,
        home: Path,
        name: str = "node",
        port: int | None = None,
        heap: str = "1g",
        server_folder: Path | None = None,
    ) -> None:
        self.name = name
        self.port = port
        self.heap = heap
        self.folder = home.absolute() / "nodes" / name
        self.server_folder = server_folder or home.absolute() / "server"
        self.mark = "hashsearch.node=" + hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()[:16]

    def start(self, notify: Notify = quiet, timeout: float = 180.0) -> NodeStatus:
        """Start the node unless it runs, wait until it is healthy, and return its status. Raises `NodeError`."""
        return start_cluster([self], notify, timeout)[0]

    def stop(self, timeout: float = 30.0) -> bool:
        """Stop the node, killing it after `timeout` seconds; False if it was not running.

        Raises `NodeError` if a process still runs `timeout` seconds after it was killed.
        """
        if not (running := self.processes()):
            return False
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in running:
                self._signal(pid, number)
            deadline = time.monotonic() + timeout
            while (running := self.processes()) and time.monotonic() < deadline:
                time.sleep(0.1)
            if not running:
                return True
        raise NodeError(
            f"the node '{self.name}' still runs {timeout:.0f} s after it was killed: process "
            f"{', '.join(map(str, running))}"
        )

    def _signal(self, pid: int, number: signal.Signals) -> None:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
        except PermissionError as error:
            raise NodeError(
                f"process {pid} of the node '{self.name}' can only be stopped by the account that started it"
            ) from error

    def status(self) -> NodeStatus:
        """Whether the node runs, its address and its health."""
        processes, port = self.processes(), self.ports().get("http")
        running = bool(processes)
        return NodeStatus(
            self.name,
            running,
            url=f"http://{LOOPBACK}:{port}" if running else None,
            pid=max(processes, default=None),
            health=self.health().get("status") if running else None,
            version=server.VERSION,
            folder=self.folder,
        )

    def processes(self) -> list[int]:
        """The ids of the node's processes: the server, and the launcher during a start.

        An empty list is checked several times: a process has no command line for a moment while it executes another
        program, as the launcher's script does.
        """
        for _ in range(5):
            if pids := [pid for pid, command in _commands() if self.mark in command]:
                return pids
            time.sleep(0.1)
        return []

    def ports(self) -> dict[str, int]:
        """The `http` and `transport` ports of the latest start; empty before the first."""
        saved = read_json(self.folder / "node.json") or {}
        return {kind: port for kind, port in saved.items() if type(port) is int and 0 < port < 65536}

    def health(self, query: str = "") -> dict[str, Any]:
        """Elasticsearch's response to a health request; empty while it does not answer."""
        connection = http.client.HTTPConnection(LOOPBACK, self.ports().get("http"), timeout=10)
        try:
            connection.request("GET", f"/_cluster/health{query}")
            response: dict[str, Any] = json.loads(connection.getresponse().read())
            return response if "cluster_name" in response else {}
        except (OSError, http.client.HTTPException, ValueError):
            return {}
        finally:
            connection.close()

    def _choose_ports(self) -> None:
        """Save free ports: the configured one, else those of the latest start, else any."""
        if self.port and not _is_free(self.port):
            raise NodeError(f"port {self.port} must be free for the local node, but another program listens on it")
        known = {kind: port for kind, port in self.ports().items() if _is_free(port)}
        ports = {"http": self.port or known.get("http") or _free_port()}
        ports["transport"] = known.get("transport") or _free_port()
        write_json(self.folder / "node.json", ports)

    def _program(self) -> Path:
        """The folder of the unpacked server."""
        return self.server_folder / f"elasticsearch-{server.VERSION}"

    def _launch(self, java: Path, discovery: dict[str, Any], identity: dict[str, Any]) -> subprocess.Popen[bytes]:
        """The launcher, which ends once the server runs in a session of its own."""
        program = self._program()
        self._write_config(program / "config", discovery)
        for name in ("config", "run", "data", "logs"):
            hand_over(self.folder / name, identity)
        run = str(self.folder / "run")
        variables = {"JAVA_HOME": str(java), "PATH_CONF": str(self.folder / "config"), "TMPDIR": run}
        passed_on = (*PASSED_ON, f"{self.prefix}_JAVA_OPTS")
        environment = {name: os.environ[name] for name in passed_on if name in os.environ}
        environment |= {f"{self.prefix}_{name}": value for name, value in variables.items()}
        environment["HOME"] = run
        with (self.folder / "console.log").open("wb") as console:
            return subprocess.Popen(
                [program / "bin" / self.command, "-d", f"-Enode.attr.{self.mark}"],
                env=environment,
                cwd=program,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity,
            )

    def _write_config(self, defaults: Path, discovery: dict[str, Any]) -> None:
        """Recreate the folders that are not kept between starts, before they belong to the node's account."""
        config, ports = self.folder / "config", self.ports()
        for name in ("config", "run"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(defaults, config)
        settings = (
            SETTINGS
            | discovery
            | {
                "node.name": self.name,
                "path.data": str(self.folder / "data"),
                "path.logs": str(self.folder / "logs"),
                "http.port": ports["http"],
                "transport.port": ports["transport"],
            }
        )
        (config / "elasticsearch.yml").write_text(json.dumps(settings, indent=2))
        options = [f"-Xms{self.heap}", f"-Xmx{self.heap}", f"-D{self.mark}", *NO_GC_LOG]
        (config / "jvm.options.d" / "hashsearch.options").write_text("\n".join(options))


def start_cluster(nodes: Sequence[LocalNode], notify: Notify = quiet, timeout: float = 180.0) -> list[NodeStatus]:
    """Start the nodes that do not run, several of them as one cluster, and return the statuses of all.

    A concurrent start, also from another process, waits and returns the same. If a node fails or the caller is
    interrupted, the nodes that were started here are stopped again. Raises `NodeError`.
    """
    identity = process_identity()
    launchers: list[subprocess.Popen[bytes]] = []
    with contextlib.ExitStack() as locks:
        for node in nodes:
            make_folder(node.folder)
            locks.enter_context(locked(node.folder / "lock"))
        stopped = [node for node in nodes if not node.processes()]
        try:
            launchers += _launch_all(stopped, nodes, notify, identity)
            _wait(nodes, notify, timeout)
        except BaseException:
            for node in stopped:
                with contextlib.suppress(NodeError):  # the first error is the one to report
                    node.stop()
            raise
        finally:
            for launcher in launchers:
                launcher.wait()
    return [node.status() for node in nodes]


def _launch_all(
    stopped: Sequence[LocalNode], nodes: Sequence[LocalNode], notify: Notify, identity: dict[str, Any]
) -> list[subprocess.Popen[bytes]]:
    """The launchers of the stopped nodes; their ports are chosen first, because each node needs those of all others."""
    if stopped:
        java = newest_jdk(identity)
    for node in nodes:
        if node in stopped:
            check_reach(server.install(node.server_folder, notify), identity)
            check_reach(node.folder, identity)
            node._choose_ports()
        elif node.port not in (None, node.ports().get("http")):
            raise NodeError(f"the node runs on port {node.ports().get('http')}, not on {node.port}: stop it first")
    discovery: dict[str, Any] = {"discovery.type": "single-node"}
    if len(nodes) > 1:
        seeds = [f"{LOOPBACK}:{node.ports()['transport']}" for node in nodes]
        names = [node.name for node in nodes]
        discovery = {"discovery.seed_hosts": seeds, "cluster.initial_master_nodes": names}
    return [node._launch(java, discovery, identity) for node in stopped]


def _wait(nodes: Sequence[LocalNode], notify: Notify, timeout: float) -> None:
    """Wait until all nodes joined and all primary shards, in a cluster also all replicas, are active."""
    status = "green" if len(nodes) > 1 else "yellow"
    query = f"?wait_for_status={status}&wait_for_nodes={len(nodes)}&timeout=1s"
    began, notified = time.monotonic(), -server.NOTIFY_EVERY
    for node in nodes:
        while (health := node.health(query)).get("timed_out", True):
            seconds = time.monotonic() - began
            console = node.folder / "console.log"
            if not node.processes():
                raise NodeError(f"Elasticsearch stopped during its start; the end of {console}:\n{_tail(console)}")
            if seconds > timeout and health.get("number_of_nodes") == len(nodes):
                return  # it answers; a damaged index must not make all others unreachable
            if seconds > timeout:
                raise NodeError(
                    f"Elasticsearch did not start within {timeout:.0f} s; the end of {console}:\n{_tail(console)}"
                )
            if seconds >= notified + server.NOTIFY_EVERY:
                notified = seconds
                notify(f"starting Elasticsearch {server.VERSION}: {seconds:.0f} s")
            time.sleep(0.3)


def _tail(path: Path, count: int = 15) -> str:
    """The last lines of a log without Java's stack frames, which would hide the causes."""
    lines = [line for line in path.read_text(errors="replace").splitlines() if not line.startswith("\tat ")]
    return "\n".join(lines[-count:])


def _commands() -> Iterator[tuple[int, str]]:
    """Id and command line of every process; that of a zombie is empty."""
    if sys.platform == "linux":
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError):
                    yield int(folder.name), (folder / "cmdline").read_text(errors="replace")
    else:
        listing = subprocess.run(["ps", "-axww", "-o", "pid=,command="], capture_output=True, text=True, check=True)
        for line in listing.stdout.splitlines():
            pid, _, command = line.strip().partition(" ")
            yield int(pid), command


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
