"""What pip installs: the wheel, alone in a new virtual environment, indexes and searches without the checkout."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import hashsearch

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
NOT_SOURCE = (".git", ".venv", "build", "dist", "runs", "*.egg-info", ".*_cache", "__pycache__", ".hypothesis")
DIST_INFO = f"hashsearch-{hashsearch.__version__}.dist-info"

READ = """
import json, sys
from hashsearch.elastic import templates
from hashsearch.encoder import Encoder
report = {
    "templates": [templates.template(name) for name in ("hashsearch", "hashsearch-mappings", "hashsearch-settings")],
    "encoder": Encoder.bundled().fingerprint,
    "files": [module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "hashsearch"],
}
json.dump(report, sys.stdout)
"""


def run(command: list[str | Path], **environment: str) -> str:
    """What a command prints. It knows nothing of the checkout: neither by its folder nor by PYTHONPATH."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd="/", env=kept | environment, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a source distribution and of the wheel that is built from it, not from the checkout."""
    folder = tmp_path_factory.mktemp("built")
    shutil.copytree(ROOT, folder / "source", symlinks=True, ignore=shutil.ignore_patterns(*NOT_SOURCE))
    run([sys.executable, "-m", "build", "--outdir", folder / "dist", folder / "source"])
    return folder / "dist"


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment with the wheel, which borrows the packages that the wheel requires from this one.

    Of an editable install there, only the folder is borrowed and not the hook that leads to the checkout.
    """
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", folder])
    run([sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install", "--no-deps", wheel])
    borrowed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site_packages(folder) / "borrowed.pth").write_text("\n".join(borrowed))
    return folder


def site_packages(environment: Path) -> Path:
    return Path(sysconfig.get_path("purelib", "venv", {"base": str(environment), "platbase": str(environment)}))


def test_the_wheel_holds_one_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        assert {name.split("/")[0] for name in file.namelist()} == {"hashsearch", DIST_INFO}


def test_the_source_distribution_holds_the_license_and_the_readme(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as file:
        names = {name.partition("/")[2] for name in file.getnames()}
    assert {"LICENSE", "README.md", "setup.cfg", "pyproject.toml", "hashsearch/py.typed"} <= names


def test_installed_it_adds_one_package(environment: Path) -> None:
    added = {path.name for path in site_packages(environment).iterdir()}
    assert added == {"hashsearch", DIST_INFO, "borrowed.pth"}


def test_templates_and_the_bundled_encoder_are_read_from_the_wheel(environment: Path) -> None:
    from hashsearch.elastic import templates
    from hashsearch.encoder import Encoder

    report = json.loads(run([environment / "bin" / "python", "-c", READ]))
    names = ("hashsearch", "hashsearch-mappings", "hashsearch-settings")
    assert report["templates"] == [templates.template(name) for name in names]
    assert report["encoder"] == Encoder.bundled().fingerprint
    installed = (site_packages(environment) / "hashsearch").resolve()
    assert [file for file in report["files"] if not Path(file).resolve().is_relative_to(installed)] == []


def test_the_installed_commands_index_and_search(
    environment: Path, node: SimpleNamespace, fresh_name: str, tmp_path: Path
) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(256, size=(40, 60, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / f"{number}.png")
    settings = {
        "HASHSEARCH_ES_URL": node.url,
        "HASHSEARCH_HOME": str(tmp_path / "home"),
        "HASHSEARCH_INDEX": fresh_name,
    }
    program = environment / "bin" / "hashsearch"
    assert run([program, "--version"]).strip().endswith(hashsearch.__version__)
    run([program, "index", pictures], **settings)
    hits = json.loads(run([program, "search", pictures / "1.png", "--json"], **settings))
    assert (len(hits), hits[0]["id"]) == (3, "1.png")
    assert hits[0]["cosine"] == pytest.approx(1, abs=1e-5)
