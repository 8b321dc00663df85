"""Make this folder with a former version: `python make.py CHECKOUT ES_URL OUT`.

CHECKOUT is a checkout of the former version, here commit f0c0860, the last one before the code moved into its present
folders. ES_URL is a cluster without an index `former`. Only jobs of the checkout run, so this needs no module of it:

    pictures/*.png, catalog.jsonl   drawn here
    encoder/                        saved by `jobs.fit_encoder`, with the weights of a tiny network
    words.npz                       saved by `jobs.fit_vocabulary`
    index.json                      the index after `jobs.index_catalog` and `jobs.tune_recall`
    documents.ndjson                the body of its bulk request, with the pictures' folder as FOLDER
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

INDEXED, LEARNED = 8, 60
SIDE = 20  # of the network's input


def draw(path: Path, seed: int) -> None:
    """A picture of coloured rectangles on a coloured ground."""
    generator = np.random.default_rng(seed)
    picture = Image.new("RGB", (96, 80), tuple(generator.integers(256, size=3).tolist()))
    pen = ImageDraw.Draw(picture)
    for left, top in zip(generator.integers(70, size=6).tolist(), generator.integers(60, size=6).tolist()):
        width, height = generator.integers(6, 40, size=2).tolist()
        pen.rectangle((left, top, left + width, top + height), fill=tuple(generator.integers(256, size=3).tolist()))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, optimize=True)


def network(folder: Path) -> list[str]:
    """Options that name a network of the mean colours of 5 x 5 squares."""
    import tensorflow as tf

    images = tf.keras.Input((SIDE, SIDE, 3))
    squares = tf.keras.layers.Flatten()(tf.keras.layers.AveragePooling2D(4)(images))
    tf.keras.Model(images, squares).save(folder / "squares.keras")
    (folder / "squares.json").write_text(json.dumps({"input_size": SIDE}))
    return ["--embedder", str(folder / "squares.json"), "--weights", str(folder / "squares.keras")]


def recorder(target: str, bodies: list[bytes]) -> ThreadingHTTPServer:
    """A proxy in front of Elasticsearch that keeps the bodies of bulk requests."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if "_bulk" in self.path:
                bodies.append(body)
            headers = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
            request = urllib.request.Request(target + self.path, body or None, headers, method=self.command)
            try:
                response: Any = urllib.request.urlopen(request)
            except urllib.error.HTTPError as error:
                response = error
            content = response.read()
            self.send_response(response.status)
            for name in ("Content-Type", "X-Elastic-Product"):
                if name in response.headers:
                    self.send_header(name, response.headers[name])
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            """Print nothing."""

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = forward

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    return server


def main(checkout: Path, url: str, out: Path) -> None:
    """Draw, fit, index, and read what came of it."""

    def run(job: str, *options: object) -> None:
        own = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(checkout), "HASHSEARCH_HOME": str(scratch / "home")}
        command = [sys.executable, "-m", f"jobs.{job}", *map(str, options)]
        subprocess.run(command, cwd=checkout, env=own, check=True)

    rows = [
        {"id": f"p{row}", "path": f"pictures/{row}.png", "title": f"Product {row}", "category": "mugs", "row": row}
        for row in range(INDEXED)
    ]
    bodies: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        for row in range(LEARNED):
            draw((out if row < INDEXED else scratch) / "pictures" / f"{row}.png", row)
        (out / "catalog.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        pictures = (out / "pictures", scratch / "pictures")
        run("fit_encoder", *pictures, "--bits", 64, "--cells", 16, *network(scratch), "--out", out / "encoder")
        run("fit_vocabulary", *pictures, "--words", 20, "--out", out / "words.npz")
        proxy = recorder(url, bodies)
        address = f"http://127.0.0.1:{proxy.server_address[1]}"
        index = ("--index", "former", "--encoder", out / "encoder", "--es-url", address)
        run("index_catalog", out / "catalog.jsonl", "--vocabulary", out / "words.npz", *index)
        run("tune_recall", "-k", 3, "--sample", INDEXED, "--target", 0.8, *index)
    with urllib.request.urlopen(f"{url}/hashsearch-former") as response:
        ((name, description),) = json.load(response).items()
    urllib.request.urlopen(urllib.request.Request(f"{url}/{name}", method="DELETE"))
    for own in ("creation_date", "provided_name", "uuid", "version"):
        del description["settings"]["index"][own]
    (out / "index.json").write_text(json.dumps(description, indent=1) + "\n")
    documents = b"".join(bodies).decode().replace(str(out / "pictures"), "FOLDER")
    (out / "documents.ndjson").write_text(documents)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), sys.argv[2], Path(sys.argv[3]).absolute())
