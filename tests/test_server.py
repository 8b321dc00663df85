"""Downloads that are incomplete or another file."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashsearch.errors import NodeError
from hashsearch.node import server


def test_a_wrong_file_is_refused_and_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{server.ARTIFACT}/{server.VERSION}/{server.ARTIFACT}-{server.VERSION}.zip"
    archive = tmp_path / "m2" / server.GROUP.replace(".", "/") / name
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"broken off")
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    folder = tmp_path / "server"
    (folder / "unpacking-killed").mkdir(parents=True)
    with pytest.raises(NodeError, match=rf"{archive.name}' must have the sha256 {server.SHA256}, got [0-9a-f]{{64}}"):
        server.install(folder, notify=print)
    assert [path.name for path in folder.iterdir()] == ["lock"]


def test_an_unpacked_server_needs_neither_network_nor_archive(
    server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = server.install(server_folder, notify=print)
    monkeypatch.setenv("M2_REPO", "/nonexistent")
    reports: list[str] = []
    assert server.install(server_folder, reports.append) == installed
    assert reports == []


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NodeError, match=r"'.*/file/server' must be writable \(HASHSEARCH_HOME sets it\)"):
        server.install(tmp_path / "file" / "server", notify=print)
