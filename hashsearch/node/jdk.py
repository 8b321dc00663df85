"""The Java that the local node runs on."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hashsearch.errors import NodeError

OLDEST = 17
MODULES = frozenset({"jdk.jlink", "jdk.incubator.vector"})  # needed by Elasticsearch's start and its vector code
FOLDERS = (
    "/usr/lib/jvm/*",
    "/opt/*",
    "~/.sdkman/candidates/java/*",
    "/Library/Java/JavaVirtualMachines/*/Contents/Home",
    "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
)
MISSING = (
    f"no JDK found: the local Elasticsearch node needs a JDK {OLDEST} or newer with the modules "
    f"{' and '.join(sorted(MODULES))}. Install one (Debian and Ubuntu: apt-get install openjdk-17-jre-headless), "
    "set ES_JAVA_HOME to one, or set HASHSEARCH_ES_URL to an existing Elasticsearch cluster"
)


def newest_jdk(
    identity: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] = os.environ,
    folders: Sequence[str] = FOLDERS,
) -> Path:
    """The home folder of the JDK to use: ES_JAVA_HOME if that is suitable, else the newest suitable one.

    `identity` are the `subprocess` arguments (user, group) of the account that will run it; a JDK in a folder that
    this account cannot enter is not suitable. Raises `NodeError` when there is none.
    """
    chosen = environ.get("ES_JAVA_HOME")
    if chosen and _version(Path(chosen), identity):
        return Path(chosen)
    versions = {home: _version(home, identity) for home in _candidates(environ, folders)}
    suitable = {home: version for home, version in versions.items() if version}
    if not suitable:
        raise NodeError(MISSING)
    return max(suitable, key=lambda home: suitable[home])


def _candidates(environ: Mapping[str, str], folders: Sequence[str]) -> set[Path]:
    """The folders with `bin/java`, each once, with links resolved."""
    java = shutil.which("java", path=environ.get("PATH", ""))
    homes = [Path(environ["JAVA_HOME"])] if environ.get("JAVA_HOME") else []
    homes += [Path(java).resolve().parent.parent] if java else []
    for pattern in folders:
        homes += Path("/").glob(str(Path(pattern).expanduser()).lstrip("/"))
    return {home.resolve() for home in homes if (home / "bin" / "java").is_file()}


def _version(home: Path, identity: Mapping[str, Any] | None) -> tuple[int, ...]:
    """Version of the JDK in `home`, for example `(17, 0, 15)`; `()` if it does not run, is too old or incomplete."""
    command = [str(home / "bin" / "java"), "--list-modules"]
    try:
        listing = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=60, cwd="/", **(identity or {})
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    modules = dict(line.strip().partition("@")[::2] for line in listing.stdout.splitlines())
    version = tuple(int(number) for number in re.findall(r"\d+", modules.get("java.base", "")))
    return version if modules.keys() >= MODULES and version >= (OLDEST,) else ()
