"""The account that runs the local node: Elasticsearch refuses to run as root."""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

from hashsearch.errors import NodeError

ACCOUNT = "nobody"


def process_identity() -> dict[str, Any]:
    """The `subprocess` arguments that make root's node run as an unprivileged account; empty for other users."""
    if os.geteuid() != 0:
        return {}
    account = pwd.getpwnam(ACCOUNT)
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def check_reach(folder: Path, identity: dict[str, Any]) -> None:
    """Raise `NodeError` if the account that runs the node cannot enter the folder or one of its parents."""
    for path in [*reversed(folder.resolve().parents), folder] if identity else []:
        if not path.stat().st_mode & 0o001:
            raise NodeError(
                f"root's node runs as '{ACCOUNT}', which must be able to enter '{path}' but is not: "
                "use chmod o+x, or set HASHSEARCH_HOME to another data folder"
            )


def hand_over(folder: Path, identity: dict[str, Any]) -> None:
    """Give a folder and the configuration in it to the account that runs the node; creates it if it is missing."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o750)
    if identity:
        for path in [folder, *(folder.rglob("*") if folder.name == "config" else ())]:
            os.chown(path, identity["user"], identity["group"])
