"""The GroceryStoreDataset as a catalog: `python benchmarks/grocery_catalog.py FOLDER_OR_TAR OUT`.

Writes OUT/catalog.csv with a row for each photo: the product's name, class, coarse class and description. A tar archive
is unpacked into OUT first.
"""

from __future__ import annotations

import csv
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path


def rows(root: Path) -> Iterator[dict[str, str]]:
    """A row for each photo listed in `train.txt`, `val.txt` and `test.txt`."""
    with (root / "classes.csv").open(encoding="utf-8", newline="") as lines:
        classes = {row["Class ID (int)"]: row for row in csv.DictReader(lines)}
    for split in ("train", "val", "test"):
        for line in (root / f"{split}.txt").read_text(encoding="utf-8").splitlines():
            path, fine, _ = (part.strip() for part in line.split(","))
            product = classes[fine]
            description = root / product["Product Description Path (str)"].lstrip("/")
            yield {
                "id": path,
                "path": str((root / path).absolute()),
                "title": product["Class Name (str)"].replace("-", " "),
                "category": product["Class Name (str)"],
                "coarse": product["Coarse Class Name (str)"],
                "split": split,
                "description": description.read_text(encoding="utf-8").strip(),
            }


def main(source: Path, out: Path) -> None:
    """Write the catalog and print its path."""
    out.mkdir(parents=True, exist_ok=True)
    if source.is_file():
        with tarfile.open(source) as tar:
            tar.extractall(out, filter="data")
        source = out
    photos = list(rows(source))
    with (out / "catalog.csv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, photos[0])
        writer.writeheader()
        writer.writerows(photos)
    print(f"{out / 'catalog.csv'}: {len(photos)} photos of {len({photo['category'] for photo in photos})} products")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
