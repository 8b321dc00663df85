"""Settings from variables: cast, defaulted, and refused by name."""

from __future__ import annotations

import os
from dataclasses import fields
from pathlib import Path

import pytest

from hashsearch.config import Model, Settings, default_home
from hashsearch.errors import ConfigError
from hashsearch.images.decoding import DEFAULT, Limits
from hashsearch.images.sources import ImageReader


def settings(**variables: str) -> Settings:
    return Settings.from_environment({f"HASHSEARCH_{name}": value for name, value in variables.items()})


def test_nothing_set_gives_the_defaults() -> None:
    found = settings(HOME="/somewhere")
    assert found == Settings(home=Path("/somewhere"))
    assert (found.host, found.port, found.index) == ("127.0.0.1", 5800, "images")
    assert found.limits == DEFAULT


def test_every_variable_is_cast_to_its_kind(tmp_path: Path) -> None:
    found = settings(
        HOME=str(tmp_path),
        ES_URL="https://es:9200",
        ES_API_KEY="key",
        ES_USER="user",
        ES_PASSWORD="secret",
        ES_CA="ca.pem",
        INDEX="grocery",
        ENCODER="models/mine",
        MODELS="bit=images, fine=shop:models/mine",
        HOST="0.0.0.0",
        PORT="80",
        IMAGE_ROOTS=f"/a{os.pathsep}{os.pathsep}/b",
        MAX_BYTES="1000",
        MAX_PIXELS="2000",
        MAX_SECONDS="0.5",
        ALLOW_PRIVATE="yes",
    )
    assert found == Settings(
        home=tmp_path,
        es_url="https://es:9200",
        es_api_key="key",
        es_user="user",
        es_password="secret",
        es_ca=Path("ca.pem"),
        index="grocery",
        encoder=Path("models/mine"),
        models=(Model("bit", "images"), Model("fine", "shop", Path("models/mine").absolute())),
        host="0.0.0.0",
        port=80,
        image_roots=(Path("/a"), Path("/b")),
        max_bytes=1000,
        max_pixels=2000,
        max_seconds=0.5,
        allow_private=True,
    )
    assert found.limits == Limits(1000, 2000, 0.5)
    assert found.image_reader == ImageReader(Limits(1000, 2000, 0.5), allow_private=True)


def test_empty_means_not_set() -> None:
    empty = {setting.name.upper(): "" for setting in fields(Settings) if setting.name != "home"}
    assert settings(HOME="/somewhere", **empty) == settings(HOME="/somewhere")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("MAX_BYTES", "0"),
        ("MAX_BYTES", "20 MB"),
        ("MAX_PIXELS", "-1"),
        ("MAX_SECONDS", "0"),
        ("MAX_SECONDS", "inf"),
        ("MAX_SECONDS", "nan"),
        ("MAX_SECONDS", "2 s"),
        ("ALLOW_PRIVATE", "maybe"),
        ("MODELS", "fine"),
        ("MODELS", "=images"),
        ("MODELS", "fine=:models/mine"),
        ("MODELS", "fine=images,"),
        ("MODELS", "fine=images,fine=shop"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_its_variable(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"HASHSEARCH_{name} cannot be '{value}': "):
        settings(**{name: value})


@pytest.mark.parametrize(("text", "value"), [("1", True), ("TRUE", True), ("on", True), ("0", False), ("No", False)])
def test_a_switch_is_written_as_people_do(text: str, value: bool) -> None:
    assert settings(ALLOW_PRIVATE=text).allow_private is value


def test_the_users_home_is_expanded_in_all_paths() -> None:
    expanded = settings(ES_CA="~/ca.pem", ENCODER="~/enc", MODELS="a=b:~/enc", IMAGE_ROOTS="~/photos")
    home = Path.home()
    assert (expanded.es_ca, expanded.encoder, expanded.image_roots) == (
        home / "ca.pem",
        home / "enc",
        (home / "photos",),
    )
    assert expanded.models == (Model("a", "b", home / "enc"),)
    with pytest.raises(ConfigError, match="HASHSEARCH_ES_CA cannot be '~nobody-here/x': "):
        settings(ES_CA="~nobody-here/x")


def test_a_path_may_contain_separators_in_a_json_list() -> None:
    listed = settings(MODELS='["a=shop:/m,1:x=2", "b=shop"]', IMAGE_ROOTS='["/a:b", "/c"]')
    assert listed.models == (Model("a", "shop", Path("/m,1:x=2")), Model("b", "shop"))
    assert listed.image_roots == (Path("/a:b"), Path("/c"))
    with pytest.raises(ConfigError, match="a path with a comma is written in a JSON list"):
        settings(MODELS="a=shop:/m,1")
    for value in ("[1]", "[", '["a"'):
        with pytest.raises(ConfigError, match="HASHSEARCH_IMAGE_ROOTS cannot be"):
            settings(IMAGE_ROOTS=value)


def test_a_user_needs_a_password() -> None:
    with pytest.raises(ConfigError, match="HASHSEARCH_ES_PASSWORD must be set too"):
        settings(ES_USER="elastic")


def test_secrets_are_not_shown() -> None:
    shown = repr(settings(ES_USER="user", ES_PASSWORD="hidden-1", ES_API_KEY="hidden-2"))
    assert "user" in shown
    assert "hidden" not in shown


def test_the_home_folder_is_absolute() -> None:
    assert default_home({"HASHSEARCH_HOME": "relative"}) == Path.cwd() / "relative"
    assert default_home({"HASHSEARCH_HOME": "~/there"}) == Path.home() / "there"


def test_the_default_home_is_the_users_data_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert default_home({"XDG_DATA_HOME": "/data"}) == Path("/data/hashsearch")
    assert default_home({}) == Path.home() / ".local" / "share" / "hashsearch"


def test_root_gets_a_home_that_the_nodes_account_may_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_home({"XDG_DATA_HOME": "/closed/share"}) == Path("/var/lib/hashsearch")
