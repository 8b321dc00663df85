"""Print what the extra `hub` requires, a line each, to be installed without dependencies.

With them, TensorFlow Hub would bring the full tensorflow package beside the CPU build. It imports `tf-keras`, whose
minor version must be that of the installed TensorFlow.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement


def hub_requirements() -> list[Requirement]:
    """The requirements that the extra adds for this Python."""
    listed = [Requirement(line) for line in requires("hashsearch") or ()]
    return [
        each for each in listed if each.marker and "hub" in str(each.marker) and each.marker.evaluate({"extra": "hub"})
    ]


def tensorflow_version() -> str:
    try:
        return version("tensorflow-cpu")
    except PackageNotFoundError:
        return version("tensorflow")


minor = ".".join(tensorflow_version().split(".")[:2])
for requirement in hub_requirements():
    pin = f"=={minor}.*" if requirement.name == "tf-keras" else requirement.specifier
    print(f"{requirement.name}{pin}")
