"""A local OpenSearch with the Painless script language, which the peers need and Elasticsearch's zip lacks.

    folder/opensearch-VERSION/
      modules/lang-painless/    assembled from the published jars, since Maven has no zip of the module

It runs on the newest Java below 24: OpenSearch 2 uses a security manager, which Java 24 removed (JEP 486).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import orjson
import urllib3

from hashsearch.errors import NodeError, StoreError, StoreUnavailable
from hashsearch.node.account import check_reach, process_identity
from hashsearch.node.jdk import FOLDERS, newest_jdk
from hashsearch.node.node import LOOPBACK, NO_GC_LOG, SETTINGS, LocalNode, NodeStatus, quiet
from hashsearch.node.server import Notify, locked, make_folder
from hashsearch.overlap import batched, prefetch

VERSION, ANTLR, ASM = "2.19.1", "4.13.1", "9.7"
FIRST_JAVA_WITHOUT_SECURITY_MANAGER = 24
WRITERS = 2  # bulk requests under way

# (group, artifact, version): sha256
SERVER = ("org.opensearch.distribution.integ-test-zip", "opensearch", VERSION)
PAINLESS = {
    ("org.opensearch.plugin", "lang-painless", VERSION): (
        "3cf5e02efa40ff5b88e74e1ab66a0bc462de3509fab4a6a4ffe90b8d13777a9a"
    ),
    ("org.opensearch.plugin", "opensearch-scripting-painless-spi", VERSION): (
        "c2598797a5f6f897ce7e8d05f593ff96de3fbc56c52f299d63cddcae41556dda"
    ),
    ("org.antlr", "antlr4-runtime", ANTLR): "54665d2838cc66458343468efc539e454fc95b46a8a04b13c6ac43fc9be63505",
    ("org.ow2.asm", "asm", ASM): "adf46d5e34940bdf148ecdd26a9ee8eea94496a72034ff7141066b3eea5c4e9d",
    ("org.ow2.asm", "asm-util", ASM): "37a6414d36641973f1af104937c95d6d921b2ddb4d612c66c5a9f2b13fc14211",
    ("org.ow2.asm", "asm-tree", ASM): "62f4b3bc436045c1acb5c3ba2d8ec556ec3369093d7f5d06c747eb04b56d52b1",
    ("org.ow2.asm", "asm-commons", ASM): "389bc247958e049fc9a0408d398c92c6d370c18035120395d4cba1d9d9304b7a",
    ("org.ow2.asm", "asm-analysis", ASM): "7bc6bcbc21379948a0c8c467fb0f864206e5b818f6bc0b546872f5c9f941556f",
}
SHA256 = {SERVER: "af7152d8b7f6f1cee09d47276b32b70479fe6dd8cdbb61213f84eb7f8098b261", **PAINLESS}

DESCRIPTOR = f"""\
name=lang-painless
description=An easy, safe and fast scripting language
classname=org.opensearch.painless.PainlessPlugin
version={VERSION}
opensearch.version={VERSION}
java.version=11
extended.plugins=
custom.foldername=
has.native.controller=false
"""
POLICY = """\
grant {
  permission java.lang.RuntimePermission "createClassLoader";
  permission java.lang.RuntimePermission "getClassLoader";
};
"""


def install(folder: Path, notify: Notify = quiet) -> Path:
    """The folder of the unpacked server with Painless, `folder/opensearch-VERSION`; downloads it if it is missing.

    Raises `NodeError` when a download fails or its checksum differs.
    """
    target = folder / f"opensearch-{VERSION}"
    if target.is_dir():
        return target
    make_folder(folder)
    with locked(folder / "opensearch.lock"):
        if not target.is_dir():
            for leftover in folder.glob("opensearch-unpacking-*"):
                shutil.rmtree(leftover)
            notify(f"downloading OpenSearch {VERSION} and its Painless module")
            try:
                with tempfile.TemporaryDirectory(prefix="opensearch-unpacking-", dir=folder) as scratch:
                    _assemble(Path(scratch)).rename(target)
            except (OSError, RuntimeError) as error:
                raise NodeError(f"OpenSearch {VERSION} could not be downloaded from Maven Central: {error}") from error
    return target


def _assemble(scratch: Path) -> Path:
    """The server's folder below `scratch`, readable by every account: the node may run as another one."""
    with zipfile.ZipFile(_download(SERVER, "zip", scratch)) as file:
        file.extractall(scratch)
    server = scratch / f"opensearch-{VERSION}"
    module = server / "modules" / "lang-painless"
    module.mkdir()
    for part in PAINLESS:
        shutil.copy(_download(part, "jar", scratch), module)
    (module / "plugin-descriptor.properties").write_text(DESCRIPTOR)
    (module / "plugin-security.policy").write_text(POLICY)
    for path in [server, *server.rglob("*")]:
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
    return server


def _download(part: tuple[str, str, str], packaging: str, scratch: Path) -> Path:
    """The path of one verified file: from the user's Maven repository, else downloaded below `scratch`."""
    from jgo.constants import default_maven_repo
    from jgo.maven import MavenContext, PythonResolver

    group, artifact, version = part
    context = MavenContext(PythonResolver(), repo_cache=scratch / "m2", local_repos=[default_maven_repo()], timeout=60)
    path: Path = context.project(group, artifact).at_version(version).artifact(packaging=packaging).resolve()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != SHA256[part]:
        raise NodeError(f"'{path}' must have the sha256 {SHA256[part]}, not {digest}: delete it and try again")
    return path


def newest_java(identity: Mapping[str, Any], folders: Iterable[str] = FOLDERS) -> Path:
    """The home of the Java to use: OPENSEARCH_JAVA_HOME, else the newest JDK below 24 that the account may run.

    `identity` as `process_identity` gives it. Raises `NodeError` when there is none.
    """
    if chosen := os.environ.get("OPENSEARCH_JAVA_HOME"):
        return Path(chosen)
    homes = {home.resolve() for folder in folders for home in Path("/").glob(str(Path(folder).expanduser())[1:])}
    versions = {home: _java_version(home) for home in homes}
    usable = [home for home, version in versions.items() if (17,) <= version < (FIRST_JAVA_WITHOUT_SECURITY_MANAGER,)]
    for home in sorted(usable, key=lambda home: versions[home], reverse=True):
        try:
            return newest_jdk(identity, {"ES_JAVA_HOME": str(home)}, folders=())
        except NodeError:
            continue
    raise NodeError(
        f"OpenSearch {VERSION} needs a JDK 17 to {FIRST_JAVA_WITHOUT_SECURITY_MANAGER - 1}, and none was found: "
        "install one (Debian: apt-get install openjdk-17-jre-headless) or point OPENSEARCH_JAVA_HOME at one"
    )


def _java_version(home: Path) -> tuple[int, ...]:
    """The version in a JDK's `release` file, `(17, 0, 15)`; `()` without such a file."""
    try:
        version = re.search(r'JAVA_VERSION="([\d.]+)', (home / "release").read_text())
    except OSError:
        return ()
    return tuple(map(int, version[1].rstrip(".").split("."))) if version else ()


class OpenSearchNode(LocalNode):
    """One OpenSearch node in `home/nodes/name`; ports, processes, locks and stopping as in `LocalNode`."""

    command, prefix = "opensearch", "OPENSEARCH"

    def start(self, notify: Notify = quiet, timeout: float = 180.0) -> NodeStatus:
        """Start the node unless it runs, wait until it answers, and return its status. Raises `NodeError`."""
        identity = process_identity()
        make_folder(self.folder)
        with locked(self.folder / "lock"):
            if not self.processes():
                check_reach(install(self.server_folder, notify), identity)
                check_reach(self.folder, identity)
                self._choose_ports()
                launcher = self._launch(newest_java(identity), {"discovery.type": "single-node"}, identity)
                try:
                    self._await(timeout)
                except BaseException:
                    self.stop()
                    raise
                finally:
                    launcher.wait()
        return self.status()

    @property
    def url(self) -> str:
        """The node's address; known once it has been started."""
        return f"http://{LOOPBACK}:{self.ports()['http']}"

    def status(self) -> NodeStatus:
        """Whether the node runs, its address and its health."""
        known = super().status()
        return NodeStatus(known.name, known.running, known.url, known.pid, known.health, VERSION, known.folder)

    def _await(self, timeout: float) -> None:
        """Wait until the node answers and all primary shards are allocated."""
        deadline = time.monotonic() + timeout
        while self.health("?wait_for_status=yellow&timeout=1s").get("timed_out", True):
            if not self.processes():
                raise NodeError(f"OpenSearch exited during start-up; {self._console()}")
            if time.monotonic() > deadline:
                raise NodeError(f"OpenSearch must answer within {timeout:.0f} s; {self._console()}")
            time.sleep(0.3)

    def _console(self) -> str:
        """The end of the node's console output, without Java stack frames."""
        console = self.folder / "console.log"
        lines = [line for line in console.read_text(errors="replace").splitlines() if not line.startswith("\tat ")]
        return "\n".join([f"the end of {console}:", *lines[-15:]])

    def _program(self) -> Path:
        return self.server_folder / f"opensearch-{VERSION}"

    def _write_config(self, defaults: Path, discovery: dict[str, Any]) -> None:
        config, ports = self.folder / "config", self.ports()
        for name in ("config", "run"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        shutil.copytree(defaults, config)
        settings = {name: value for name, value in SETTINGS.items() if not name.startswith("xpack.")} | discovery
        settings |= {"node.name": self.name, "http.port": ports["http"], "transport.port": ports["transport"]}
        settings |= {f"path.{name}": str(self.folder / name) for name in ("data", "logs")}
        (config / "opensearch.yml").write_text(json.dumps(settings, indent=2))
        # The options left out write below the program's folder, where the node's account has no access.
        lines = (config / "jvm.options").read_text().splitlines()
        kept = [line for line in lines if not re.search(r"-Xm[sx]|-Xlog|-Xloggc|HeapDump|ErrorFile", line)]
        kept += [f"-Xms{self.heap}", f"-Xmx{self.heap}", f"-D{self.mark}", *NO_GC_LOG]
        (config / "jvm.options").write_text("\n".join(kept))


class OpenSearch:
    """A minimal client for one node: Elasticsearch's client refuses OpenSearch."""

    def __init__(self, url: str) -> None:
        self._pool = urllib3.connectionpool.connection_from_url(url, maxsize=WRITERS, timeout=600, retries=False)

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The response's JSON; `body` is a value, or bytes for `_bulk`. Raises StoreError or StoreUnavailable."""
        lines = isinstance(body, bytes)
        try:
            answer = self._pool.request(
                method,
                path,
                body=body if lines or body is None else orjson.dumps(body),
                headers={"Content-Type": "application/x-ndjson" if lines else "application/json"},
            )
        except urllib3.exceptions.HTTPError as error:
            raise StoreUnavailable(f"OpenSearch does not answer: {error}") from error
        if answer.status >= 300:
            raise StoreError(f"OpenSearch answered {answer.status} for '{method} {path}': {answer.data[:500]!r}")
        content: dict[str, Any] = orjson.loads(answer.data)
        return content

    def bulk(self, index: str, documents: Iterable[Mapping[str, Any]], batch: int = 1000) -> None:
        """Index documents, with their `_id` if they have one, `batch` per request; StoreError if any is rejected."""
        with ThreadPoolExecutor(WRITERS) as pool:
            batches = batched(documents, batch)
            for sent in prefetch(batches, lambda chunk: pool.submit(self._send, index, chunk), 2 * WRITERS):
                sent.result()

    def _send(self, index: str, documents: list[Mapping[str, Any]]) -> None:
        lines = b"".join(
            orjson.dumps({"index": {"_id": document["_id"]} if "_id" in document else {}})
            + b"\n"
            + orjson.dumps({name: value for name, value in document.items() if name != "_id"})
            + b"\n"
            for document in documents
        )
        answer = self.ask("POST", f"/{index}/_bulk?filter_path=errors,items.*.error", lines)
        if answer["errors"]:
            first = next(item["index"]["error"] for item in answer["items"] if item)
            raise StoreError(f"'{index}' rejected documents; first error: {first}")

    def close(self) -> None:
        """Close the connection."""
        self._pool.close()
