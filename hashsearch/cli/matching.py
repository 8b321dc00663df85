"""`hashsearch match`: two images compared by their keypoints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hashsearch.cli.commands import Command
from hashsearch.cli.options import EXISTING_FILE, OutputPath, as_json, keypoint_options, with_settings

if TYPE_CHECKING:
    from hashsearch.config import Settings


@click.command(cls=Command)
@click.argument("images", metavar="A B", nargs=2, type=EXISTING_FILE)
@keypoint_options
@click.option(
    "--out",
    type=OutputPath(".png", ".jpg", ".jpeg", ".webp", dir_okay=False),
    help="Image file to write, with the matches drawn.",
)
@with_settings()
@as_json
def match(
    settings: Settings,
    images: tuple[Path, Path],
    features: str,
    keypoints: int,
    side: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare two images by their keypoints.

    The verdict is `same`, `in part` or `unlike`: whether A and B show the same thing, wholly, in part or not.
    """
    from hashsearch.descriptors.keypoints import LocalExtractor
    from hashsearch.descriptors.matching import draw_matches, verdict, verify

    if out and out.exists() and any(out.samefile(image) for image in images):
        raise click.UsageError(f"--out must be another file than A and B, got '{out}'")
    extractor = LocalExtractor(features, keypoints, side)
    first, second = (settings.image_reader.pixels(str(image)) for image in images)
    a, b = extractor.extract(first), extractor.extract(second)
    result = verify(a, b)
    if out is not None:
        from PIL import Image

        Image.fromarray(draw_matches(first, second, a, b, result)).save(out)
    numbers = {name: getattr(result, name) for name in ("inliers", "matches", "share", "overlap", "spread", "score")}
    if as_json:
        click.echo(json.dumps({"verdict": verdict(result), **numbers, "keypoints": [len(a), len(b)]}))
        return
    click.echo(
        f"{verdict(result)}: {result.inliers} of {result.matches} matches fit one homography, "
        f"score {result.score:.2f}; {result.share:.0%} of the keypoints match, "
        f"the images overlap by {result.overlap:.0%}"
    )
