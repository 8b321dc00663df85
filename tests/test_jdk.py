"""Which JDK is chosen, among scripts that answer `--list-modules` like a JDK."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashsearch.errors import NodeError
from hashsearch.node.jdk import newest_jdk

ALL = ("java.base", "jdk.jlink", "jdk.incubator.vector")


def make_jdk(home: Path, version: str, modules: tuple[str, ...] = ALL) -> Path:
    java = home / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\n" + "".join(f"echo {module}@{version}\n" for module in modules))
    java.chmod(0o755)
    return home


def test_the_newest_jdk_is_chosen(tmp_path: Path) -> None:
    on_path, in_folder = make_jdk(tmp_path / "a", "17.0.15"), make_jdk(tmp_path / "jvm" / "b", "21.0.2")
    java_home = make_jdk(tmp_path / "c", "9.0.4")
    environ = {"PATH": f"{on_path}/bin", "JAVA_HOME": str(java_home)}
    assert newest_jdk(environ=environ, folders=[f"{tmp_path}/jvm/*"]) == in_folder
    assert newest_jdk(environ=environ, folders=[]) == on_path


def test_versions_compare_as_numbers_and_early_access_builds_have_one(tmp_path: Path) -> None:
    make_jdk(tmp_path / "a", "17.0.9")
    newer = make_jdk(tmp_path / "b", "17.0.15")
    assert newest_jdk(environ={}, folders=[f"{tmp_path}/*"]) == newer
    newest = make_jdk(tmp_path / "c", "25-ea")
    assert newest_jdk(environ={}, folders=[f"{tmp_path}/*"]) == newest


def test_es_java_home_is_preferred_if_it_is_suitable(tmp_path: Path) -> None:
    chosen, newer = make_jdk(tmp_path / "a", "17.0.1"), make_jdk(tmp_path / "b", "25.0.3")
    environ = {"ES_JAVA_HOME": str(chosen), "JAVA_HOME": str(newer)}
    assert newest_jdk(environ=environ, folders=[]) == chosen
    environ["ES_JAVA_HOME"] = str(tmp_path / "nowhere")
    assert newest_jdk(environ=environ, folders=[]) == newer


@pytest.mark.parametrize(
    ("version", "modules"),
    [("11.0.2", ALL), ("25.0.1", ("java.base", "jdk.jlink")), ("25.0.1", ("java.base", "jdk.incubator.vector"))],
)
def test_old_and_incomplete_jdks_are_refused_with_advice(
    tmp_path: Path, version: str, modules: tuple[str, ...]
) -> None:
    make_jdk(tmp_path / "a", version, modules)
    broken = make_jdk(tmp_path / "b", "25.0.1")
    (broken / "bin" / "java").write_text("not a program")
    with pytest.raises(NodeError, match=r"apt-get install openjdk-17.*ES_JAVA_HOME.*HASHSEARCH_ES_URL"):
        newest_jdk(environ={"PATH": ""}, folders=[f"{tmp_path}/*"])
