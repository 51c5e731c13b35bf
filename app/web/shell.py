"""The page's service worker: what it keeps, and of which version that is."""

import hashlib
import json
from pathlib import Path

WORKER = "sw.js"
# Photos are many times as large as the page, and of no use without the server.
KEPT_TYPES = frozenset({".html", ".css", ".js", ".json", ".svg", ".png", ".webp", ".webmanifest"})


def render_worker(folder: Path) -> str:
    """The service worker with the list of the page's files and their digest in front.

    It changes with any of them, and so browsers notice an update.

    Raises
    ------
    FileNotFoundError
        The page has no service worker.
    """
    script = (folder / WORKER).read_text(encoding="utf-8")
    digest = hashlib.sha256()
    addresses = []
    for path in sorted(folder.rglob("*")):
        if path.suffix not in KEPT_TYPES or not path.is_file():
            continue
        address = "/" + path.relative_to(folder).as_posix()
        digest.update(address.encode() + b"\0" + path.read_bytes() + b"\0")
        if address != f"/{WORKER}":
            addresses.append("/" if address == "/index.html" else address)
    shell = json.dumps({"version": digest.hexdigest()[:16], "files": addresses})
    return f"self.SHELL = {shell};\n{script}"
