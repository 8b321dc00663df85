"""Published weights, downloaded from a real server: resumed, checked before they get their name, used by their name."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image
from support.publishing import Publisher, publisher

from hashsearch.cli.main import commands
from hashsearch.embedders import BIT, check, load, own_weights
from hashsearch.embedders.architectures import Architecture, parameter_shapes
from hashsearch.embedders.downloading import download
from hashsearch.embedders.inventory import inventory
from hashsearch.embedders.published import FILES, PublishedFile, fetch, found_files
from hashsearch.errors import UnknownEmbedder, WeightsMismatch, WeightsNotFound
from hashsearch.files import exclusive_lock

CONTENT = np.random.default_rng(0).bytes(3_000_000)
NARROW = Architecture((1, 1, 1, 1), width=8, groups=4, input_size=32)
NAME = "bit-m-r50x1"


def checkpoint(net: Architecture = NARROW, seed: int = 0) -> bytes:
    """An `.npz` file with random parameters, and a head, as the official ones have."""
    rng = np.random.default_rng(seed)
    parameters = {name: rng.standard_normal(shape).astype(np.float32) for name, shape in parameter_shapes(net).items()}
    parameters["resnet/head/conv2d/bias"] = np.zeros(10, np.float32)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **parameters)
    return file.getvalue()


@pytest.fixture
def server() -> Iterator[Publisher]:
    with publisher() as running:
        yield running


@pytest.fixture
def address(server: Publisher) -> str:
    return server.publish("file.bin", CONTENT)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "file.bin"


def accept(draft: Path) -> None:
    """Any file will do."""


def expect_content(draft: Path) -> None:
    if draft.read_bytes() != CONTENT:
        raise WeightsMismatch("another file")


def left(target: Path) -> set[str]:
    """The files that a download left, but for its lock."""
    return {file.name for file in target.parent.iterdir()} - {".downloading"}


class TestDownload:
    def test_a_file_is_there_when_it_is_complete_and_checked(self, address: str, target: Path) -> None:
        shown: list[tuple[int, int | None]] = []

        def check(draft: Path) -> None:
            assert draft.read_bytes() == CONTENT
            assert not target.exists()

        download(address, target, check, lambda *numbers: shown.append(numbers))
        assert target.read_bytes() == CONTENT
        assert left(target) == {"file.bin"}
        assert shown[0] == (0, len(CONTENT)) and shown[-1] == (len(CONTENT), len(CONTENT))

    def test_a_connection_that_ends_is_taken_up_where_it_ended(
        self, server: Publisher, address: str, target: Path
    ) -> None:
        server.cuts.extend([1_000_000, 500_000])
        download(address, target, expect_content)
        assert [(wish.range, wish.status) for wish in server.wishes] == [
            (None, 200),
            ("bytes=1000000-", 206),
            ("bytes=1500000-", 206),
        ]

    def test_the_next_call_continues(self, server: Publisher, address: str, target: Path) -> None:
        server.cuts.extend([1_000_000, -503])
        with pytest.raises(WeightsNotFound, match=rf"{address} could not be downloaded: HTTP Error 503"):
            download(address, target, accept)
        assert left(target) == {"file.bin.part", "file.bin.part.json"}
        shown: list[int] = []
        download(address, target, expect_content, lambda done, total: shown.append(done))
        assert server.wishes[-1].range == "bytes=1000000-"
        assert shown[0] == 1_000_000
        assert left(target) == {"file.bin"}

    def test_a_file_that_changed_meanwhile_is_downloaded_anew(
        self, server: Publisher, address: str, target: Path
    ) -> None:
        server.publish("file.bin", bytes(2_000_000))
        server.cuts.extend([1_500_000, -503])
        with pytest.raises(WeightsNotFound):
            download(address, target, accept)
        server.publish("file.bin", CONTENT)
        download(address, target, expect_content)
        assert (server.wishes[-1].range, server.wishes[-1].status) == ("bytes=1500000-", 200)

    def test_a_draft_of_another_address_is_not_continued(self, server: Publisher, address: str, target: Path) -> None:
        server.cuts.extend([1_000_000, -503])
        with pytest.raises(WeightsNotFound):
            download(address, target, accept)
        download(server.publish("other.bin", CONTENT[::-1]), target, accept)
        assert server.wishes[-1].range is None
        assert target.read_bytes() == CONTENT[::-1]

    def test_without_versions_it_begins_anew(self, server: Publisher, address: str, target: Path) -> None:
        server.tags = False
        server.cuts.extend([1_000_000, -503])
        with pytest.raises(WeightsNotFound):
            download(address, target, accept)
        download(address, target, expect_content)
        assert [wish.range for wish in server.wishes] == [None, None, None]

    def test_a_server_without_ranges_sends_all_again(self, server: Publisher, address: str, target: Path) -> None:
        server.ranges = False
        server.cuts.extend([1_000_000])
        download(address, target, expect_content)
        assert [wish.status for wish in server.wishes] == [200, 200]

    def test_a_complete_draft_is_not_asked_for_again(self, server: Publisher, address: str, target: Path) -> None:
        class Killed(BaseException):
            """As of a process that is killed between the last byte and the end."""

        def kill(draft: Path) -> None:
            raise Killed

        with pytest.raises(Killed):
            download(address, target, kill)
        download(address, target, expect_content)
        assert len(server.wishes) == 1

    def test_a_draft_that_is_longer_than_the_file_begins_anew(
        self, server: Publisher, address: str, target: Path
    ) -> None:
        server.cuts.extend([1_000_000, -503])
        with pytest.raises(WeightsNotFound):
            download(address, target, accept)
        (target.parent / "file.bin.part").write_bytes(bytes(len(CONTENT) + 1))
        download(address, target, expect_content)
        assert [wish.status for wish in server.wishes[-2:]] == [416, 200]

    def test_a_refused_file_leaves_nothing(self, address: str, target: Path) -> None:
        def refuse(draft: Path) -> None:
            raise WeightsMismatch("not this one")

        with pytest.raises(WeightsMismatch, match="not this one"):
            download(address, target, refuse)
        assert left(target) == set()

    @pytest.mark.parametrize("cut", [0, -500])
    def test_a_server_that_sends_nothing_is_given_up(
        self, server: Publisher, address: str, target: Path, cut: int
    ) -> None:
        server.cuts.extend([cut] * 9)
        with pytest.raises(WeightsNotFound, match="could not be downloaded"):
            download(address, target, accept)
        assert len(server.wishes) == 1

    def test_two_at_once_do_not_write_into_one_draft(self, server: Publisher, address: str, target: Path) -> None:
        target.parent.mkdir()
        with (
            exclusive_lock(target.parent / ".downloading"),
            pytest.raises(WeightsNotFound, match=r"another process downloads into .*weights now"),
        ):
            download(address, target, accept)
        assert server.wishes == []

    def test_a_redirect_is_followed_also_in_the_middle(self, server: Publisher, address: str, target: Path) -> None:
        server.redirects["/latest"] = address
        server.cuts.extend([None, 1_000_000])
        download(f"{server.url}/latest", target, expect_content)
        assert [wish.range for wish in server.wishes] == [None, None, "bytes=1000000-", "bytes=1000000-"]


@pytest.fixture
def bit(server: Publisher, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A narrow network under the name of a BiT network, published on the local server; its file's content."""
    content = checkpoint()
    monkeypatch.setitem(BIT, NAME, NARROW)
    monkeypatch.setitem(FILES, NAME, PublishedFile(server.publish("BiT-M-R50x1.npz", content)))
    return content


class TestFetch:
    def test_a_bit_network_then_needs_no_weights(self, bit: bytes, tmp_path: Path) -> None:
        with pytest.raises(WeightsNotFound, match=f"`hashsearch embedders fetch {NAME}`, put BiT-M-R50x1.npz into"):
            check(NAME, fetched=tmp_path)
        path = fetch(NAME, tmp_path)
        assert (path, path.read_bytes()) == (tmp_path / "BiT-M-R50x1.npz", bit)
        assert own_weights(NAME, tmp_path) == path
        assert check(NAME, fetched=tmp_path) == NARROW.dims
        assert found_files(tmp_path) == {NAME: str(path)}
        photos = [np.zeros((40, 50, 3), np.uint8)]
        assert load(NAME, fetched=tmp_path).embed(photos).shape == (1, NARROW.dims)

    def test_its_digest_is_recorded_and_changes_are_noticed(
        self, bit: bytes, server: Publisher, tmp_path: Path
    ) -> None:
        path = fetch(NAME, tmp_path)
        sha256 = hashlib.sha256(bit).hexdigest()
        record = json.loads((tmp_path / "BiT-M-R50x1.npz.json").read_text())
        assert record == {"address": FILES[NAME].address, "bytes": len(bit), "sha256": sha256}
        path.write_bytes(checkpoint(seed=1))
        for use in (own_weights, fetch):
            with pytest.raises(WeightsMismatch, match=rf"was changed since it was downloaded, .* {sha256}: remove it"):
                use(NAME, tmp_path)
        path.unlink()
        server.publish("BiT-M-R50x1.npz", checkpoint(seed=1))
        with pytest.raises(WeightsMismatch, match=rf"had the sha256 {sha256} at the first download .*\.json to accept"):
            fetch(NAME, tmp_path)
        (tmp_path / "BiT-M-R50x1.npz.json").unlink()
        assert fetch(NAME, tmp_path) == path

    def test_it_is_downloaded_once(self, bit: bytes, server: Publisher, tmp_path: Path) -> None:
        assert fetch(NAME, tmp_path) == fetch(NAME, tmp_path)
        assert len(server.wishes) == 1

    def test_one_that_was_put_there_by_hand_is_checked_and_recorded(
        self, bit: bytes, server: Publisher, tmp_path: Path
    ) -> None:
        (tmp_path / "BiT-M-R50x1.npz").write_bytes(bit)
        assert own_weights(NAME, tmp_path) == fetch(NAME, tmp_path)
        assert (tmp_path / "BiT-M-R50x1.npz.json").exists()
        assert server.wishes == []

    @pytest.mark.parametrize("damage", ["another network", "cut short", "a flipped bit", "a page"])
    def test_what_is_not_the_network_is_refused(
        self, bit: bytes, server: Publisher, tmp_path: Path, damage: str
    ) -> None:
        flipped = bytearray(bit)
        flipped[len(bit) // 2] ^= 1
        contents = {
            "another network": checkpoint(replace(NARROW, width=16)),
            "cut short": bit[:-1000],
            "a flipped bit": bytes(flipped),
            "a page": b"<html>please log in</html>",
        }
        server.publish("BiT-M-R50x1.npz", contents[damage])
        with pytest.raises(WeightsMismatch) as caught:
            fetch(NAME, tmp_path)
        assert str(caught.value).startswith(f"{FILES[NAME].address} has another file than expected: ")
        assert str(caught.value).endswith(f"put BiT-M-R50x1.npz into {tmp_path}, or name it with --weights FILE")
        assert left(tmp_path / "any") == set()

    def test_without_a_connection_the_message_says_what_to_put_where(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        address = "http://127.0.0.1:9/BiT-M-R50x1.npz"
        monkeypatch.setitem(FILES, NAME, PublishedFile(address))
        with pytest.raises(WeightsNotFound) as caught:
            fetch(NAME, tmp_path)
        assert str(caught.value) == (
            f"{address} could not be downloaded: [Errno 111] Connection refused; put BiT-M-R50x1.npz "
            f"into {tmp_path}, or name it with --weights FILE"
        )

    def test_a_file_that_is_not_published_any_more(self, bit: bytes, server: Publisher, tmp_path: Path) -> None:
        del server.files["/BiT-M-R50x1.npz"]
        with pytest.raises(WeightsNotFound, match=r"BiT-M-R50x1\.npz could not be downloaded: HTTP Error 404.*; put "):
            fetch(NAME, tmp_path)

    @pytest.mark.parametrize("name", ["bit-tiny", "mobilenet-v2", "resnet51"])
    def test_other_names_are_refused(self, name: str, tmp_path: Path) -> None:
        with pytest.raises(UnknownEmbedder, match=rf"one of bit-m-r50x1, .*inception-resnet-v2, got '{name}'"):
            fetch(name, tmp_path)


class TestKeras:
    """The files of Keras applications, in Keras's cache."""

    FILE = FILES["vgg16"].name

    @pytest.fixture
    def cache(self, server: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
        published = PublishedFile(server.publish(self.FILE, CONTENT), len(CONTENT), hashlib.md5(CONTENT).hexdigest())
        monkeypatch.setitem(FILES, "vgg16", published)
        return tmp_path / "keras" / "models"

    def test_the_file_is_put_where_keras_finds_it(self, cache: Path, tmp_path: Path) -> None:
        assert fetch("vgg16", tmp_path / "weights") == cache / self.FILE
        assert own_weights("vgg16") == cache / self.FILE
        assert left(cache / self.FILE) == {self.FILE}
        assert not (tmp_path / "weights").exists()

    def test_another_size_and_another_digest_are_refused(self, cache: Path, server: Publisher, tmp_path: Path) -> None:
        server.publish(self.FILE, CONTENT[:-1])
        with pytest.raises(WeightsMismatch, match=rf"must have 3000000 bytes, got 2999999; put {self.FILE} \(md5 "):
            fetch("vgg16", tmp_path)
        server.publish(self.FILE, CONTENT[::-1])
        with pytest.raises(WeightsMismatch, match=rf"must have the md5 {FILES['vgg16'].md5}, got "):
            fetch("vgg16", tmp_path)
        assert left(cache / self.FILE) == set()


def test_addresses_and_names_are_those_of_the_publishers() -> None:
    assert FILES["bit-m-r50x1"].address == "https://storage.googleapis.com/bit_models/BiT-M-R50x1.npz"
    assert FILES["bit-s-r152x4"].address == "https://storage.googleapis.com/bit_models/BiT-S-R152x4.npz"
    assert len(FILES) == 2 * 6 + 4
    assert {len(file.md5 or "") for name, file in FILES.items() if name not in BIT} == {32}


class TestCommand:
    def run(self, *words: str) -> Result:
        return CliRunner().invoke(commands, words, prog_name="hashsearch")

    def test_a_network_is_fetched_listed_and_used(self, bit: bytes, tmp_path: Path) -> None:
        home = ["--home", str(tmp_path)]
        before, after = inventory(tmp_path), tmp_path / "weights" / "BiT-M-R50x1.npz"
        assert {item.name: item.weights for item in before}[NAME].startswith(f"hashsearch embedders fetch {NAME}; or")
        fetched = self.run("embedders", "fetch", NAME, *home)
        assert (fetched.exit_code, fetched.stdout) == (0, f"{NAME}: {after}\n")
        listed = json.loads(self.run("embedders", "--json", *home).stdout)
        assert {item["name"]: (item["ready"], item["weights"]) for item in listed}[NAME] == (True, str(after))
        Image.new("RGB", (40, 50), "red").save(tmp_path / "red.png")
        out = tmp_path / "red.npz"
        embedded = self.run("embed", str(tmp_path / "red.png"), "--embedder", NAME, "--out", str(out), *home)
        assert embedded.exit_code == 0, embedded.output
        assert np.load(out)["vectors"].shape == (1, NARROW.dims)

    def test_a_wrong_name_is_refused_before_anything_is_downloaded(
        self, bit: bytes, server: Publisher, tmp_path: Path
    ) -> None:
        refused = self.run("embedders", "fetch", NAME, "bit-m-r51", "--home", str(tmp_path))
        assert isinstance(refused.exception, UnknownEmbedder)
        assert server.wishes == []

    def test_without_a_command_the_networks_are_listed(self, tmp_path: Path) -> None:
        for words in ([], ["list"]):
            rows = self.run("embedders", *words, "--home", str(tmp_path)).stdout.splitlines()
            assert rows[0].split() == ["name", "dims", "px", "weights"]
            assert rows[1].split() == ["efficientnet-lite0", "1280", "224", "installed"]
            assert ["bit-tiny", "768", "160", "bundled"] in [row.split() for row in rows]
