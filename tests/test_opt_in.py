"""Checks that take minutes. Results are recorded in docs/robustness.md.

PASTICHE_OPT_IN=1 python -m pytest tests/test_opt_in.py -s
"""

# ruff: noqa: T201, S603, S607 - they report what they measured, and run system tools

import hashlib
import itertools
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import httpx2
import pytest
from learning_helpers import order, painting_bytes, wait_for
from odd_pictures import KINDS, odd_picture
from server_helpers import Server, lone_worker, multipart, running_server
from service_helpers import assert_problem, make_settings, photo_bytes, upload

from app.jobs.desk import Jobs
from app.jobs.order import Order, now
from model.inference.look import Look
from model.inference.stylizer import Stylizer
from model.pictures.levels import to_tensor
from model.pictures.picture import load_picture
from model.pictures.style_picture import UnfitPictureError
from model.storage.assets import asset_folder
from model.styles.library import StyleLibrary
from model.styles.predictor import load_predictor
from model.styles.style import Style
from model.styles.style_file import load_style

pytestmark = pytest.mark.skipif(
    not os.environ.get("PASTICHE_OPT_IN"), reason="takes minutes; set PASTICHE_OPT_IN=1"
)

URL = "/v1/stylize"
ODD_PICTURES = int(os.environ.get("PASTICHE_ODD_PICTURES", "1000"))
SOAK_REQUESTS = int(os.environ.get("PASTICHE_SOAK_REQUESTS", "10000"))
MUTATIONS = 3000
SLOW_SOCKETS = 600
KILLS = 20
KILLED_STEPS = 400


def usage(server: Server) -> dict[str, int]:
    """Resident memory in MB, open descriptors, temporary files of a server."""
    process = Path(f"/proc/{server.process.pid}")
    status = process.joinpath("status").read_text()
    return {
        "memory_mb": int(status.split("VmRSS:")[1].split()[0]) // 1024,
        "descriptors": len(list(process.joinpath("fd").iterdir())),
        "temporary files": len(list(Path(tempfile.gettempdir()).glob("tmp*"))),
    }


def mixed_requests(client: httpx2.Client, count: int, seed: int) -> Counter[int]:
    """Good and bad ones, of several sizes, formats and styles; their statuses."""
    chance = random.Random(seed)
    statuses: Counter[int] = Counter()
    photos = [
        photo_bytes(*size, format=format)
        for size in ((16, 16), (48, 32), (64, 64))
        for format in ("PNG", "JPEG", "WEBP", "GIF")
    ]
    big = photo_bytes(900, 900)  # more than is kept in memory: spooled to a file
    for i in range(count):
        photo = big if i % 100 == 0 else chance.choice(photos)
        style = chance.choice(["amber", "birch", "cobalt", "nobody"])
        data = {"style": style, "strength": chance.choice(["0", "0.5", "1", "2"]), "max_side": "64"}
        if i % 5 == 0:
            photo = photo[: len(photo) // 2]
        if i % 17 == 0:
            statuses[client.get("/v1/styles").status_code] += 1
        elif i % 19 == 0:
            with socket.create_connection((client.base_url.host, client.base_url.port)) as gone:
                gone.sendall(multipart(photo)[: chance.randrange(1, 2000)])
            statuses[0] += 1
        else:
            statuses[client.post(URL, files=upload(photo), data=data).status_code] += 1
    return statuses


def test_soak(small_weights_folder: Path, tmp_path: Path) -> None:
    with running_server(small_weights_folder, tmp_path) as server:
        with server.client() as client:
            mixed_requests(client, SOAK_REQUESTS // 10, seed=0)  # allocators and caches fill
        time.sleep(1)
        before, begun = usage(server), time.monotonic()
        each = SOAK_REQUESTS * 9 // 10 // 4

        def worker(seed: int) -> Counter[int]:
            with server.client() as client:
                return mixed_requests(client, each, seed)

        with ThreadPoolExecutor(4) as pool:
            statuses = sum(pool.map(worker, range(1, 5)), Counter[int]())
        seconds = time.monotonic() - begun
        time.sleep(2)
        after = usage(server)
        print(f"\n{SOAK_REQUESTS} requests, {seconds:.0f} s: {dict(statuses)}; {before} -> {after}")
        assert set(statuses) <= {0, 200, 415, 422}
        assert after["memory_mb"] <= before["memory_mb"] * 1.1 + 20
        assert after["descriptors"] <= before["descriptors"] + 2
        assert after["temporary files"] <= before["temporary files"]


def mutate(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 10)):
        kind, at = chance.randrange(4), chance.randrange(len(changed))
        if kind == 0:
            changed[at] = chance.randrange(256)
        elif kind == 1:
            del changed[at : at + chance.randrange(1, 30)]
        elif kind == 2:
            changed[at:at] = chance.randbytes(chance.randrange(1, 30))
        else:
            del changed[at:]
        if not changed:
            break
    return bytes(changed)


def test_mutated_pictures(small_weights_folder: Path, tmp_path: Path) -> None:
    chance, statuses = random.Random(1), Counter[int]()
    seeds = [photo_bytes(24, 24, format=format) for format in ("PNG", "JPEG", "WEBP", "GIF")]
    values = {"max_side": 64}
    with running_server(small_weights_folder, tmp_path, **values) as server:
        with server.client() as client:
            for seed in itertools.islice(itertools.cycle(seeds), MUTATIONS):
                files = upload(mutate(seed, chance))
                statuses[client.post(URL, files=files, data={"style": "amber"}).status_code] += 1
        assert "Traceback" not in server.log.read_text()
    print(f"\n{MUTATIONS} mutated pictures: {dict(statuses)}")
    assert set(statuses) <= {200, 415, 422}


def test_slow_sockets_at_default_settings(small_weights_folder: Path, tmp_path: Path) -> None:
    with running_server(small_weights_folder, tmp_path) as server:
        begun = time.monotonic()
        kinds = [b"", b"GET / HTTP/1.1\r\nX: y", multipart(photo_bytes())[:-20]]
        sockets = [server.connect(kinds[i % 3]) for i in range(SLOW_SOCKETS)]
        slowest = 0.0
        with server.client() as client:
            for _ in range(10):
                sent = time.monotonic()
                response = client.post(URL, files=upload(), data={"style": "amber"})
                assert response.status_code == 200
                slowest = max(slowest, time.monotonic() - sent)
        closed = []
        for connection in sockets:
            connection.settimeout(40)
            with connection:
                while connection.recv(65_536):
                    pass
            closed.append(time.monotonic() - begun)
        print(f"\n{SLOW_SOCKETS} slow sockets: all closed after {max(closed):.1f} s; ", end="")
        print(f"slowest good request meanwhile {slowest:.2f} s")
        assert max(closed) < 30
        assert slowest < 3


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system that is soon full."""
    folder.mkdir()
    options = f"size={kilobytes}k"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_full_disks(
    small_weights_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with small_disk(tmp_path / "data", 768) as data, small_disk(tmp_path / "tmp", 512) as spool:
        monkeypatch.setenv("TMPDIR", str(spool))
        with running_server(small_weights_folder, tmp_path) as server, server.client() as client:
            file = client.get("/v1/styles/amber/file").content
            statuses = [
                client.put(f"/v1/styles/s{i}/file", content=file).status_code for i in range(40)
            ]
            stored = statuses.count(201)
            print(f"\n{stored} styles fit, then {set(statuses[stored:])}")
            assert statuses == [201] * stored + [507] * (40 - stored)
            assert 0 < stored < 40
            ordered = order(client, image=painting_bytes(1000, 1000))
            assert_problem(ordered, ordered.status_code)
            assert ordered.status_code in (503, 507), "by the files, or by the database"
            names = {path.suffix for path in (data / "styles").iterdir()}
            assert names <= {".safetensors", ".webp"}, "no half file is left"
            assert len(client.get("/v1/styles").json()["styles"]) == 3 + stored
            assert client.get("/v1/styles/s0/file").status_code == 200
            big = photo_bytes(1000, 1000)  # spooled to disk on its way in
            big += bytes(max(0, 2_000_000 - len(big)))
            refused = client.post(URL, files=upload(big), data={"style": "amber"})
            assert_problem(refused, 507, "disk_full")
            assert client.delete("/v1/styles/s0").status_code == 204
            again = client.put("/v1/styles/s0/file", content=file)
            assert again.status_code == 201, "space back, service back"
            small = client.post(URL, files=upload(), data={"style": "amber"})
            assert small.status_code == 200


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_job_outlasts_a_full_disk(learning_weights_folder: Path, tmp_path: Path) -> None:
    """Filled twice while a style is learned: under its files, and under the database."""
    values = {"worker": "true", "worker_nice": 0}
    with (
        small_disk(tmp_path / "data", 16 * 1024) as data,
        running_server(learning_weights_folder, tmp_path, **values) as server,
        server.client() as client,
    ):
        job = order(client, steps=400).json()["id"]
        address = f"/v1/jobs/{job}"
        for _ in range(2):
            step = client.get(f"/v1/jobs/{job}").json().get("step", 0)
            wait_for(lambda step=step: client.get(f"/v1/jobs/{job}").json().get("step", 0) > step)
            fill = data / "fill"
            with suppress(OSError), fill.open("wb", buffering=0) as file:
                while file.write(bytes(4096)):
                    pass
            found = wait_for(lambda: (job_ := client.get(address).json()).get("reason") and job_)
            assert (found["state"], "disk is full" in found["reason"]) == ("running", True)
            assert_problem(order(client), 507, "disk_full")
            fill.unlink()
        found = wait_for(
            lambda: (job_ := client.get(address).json())["state"] != "running"
            and job_, 300
        )  # fmt: skip
        assert found["state"] == "succeeded", found
        assert "reason" not in found


@pytest.mark.skipif(shutil.which("schemathesis") is None, reason="needs schemathesis")
def test_schemathesis(small_weights_folder: Path, tmp_path: Path) -> None:
    with running_server(small_weights_folder, tmp_path) as server:
        config = Path(__file__).with_name("schemathesis.toml")
        done = subprocess.run(
            [
                shutil.which("schemathesis") or "", "--config-file", str(config), "run",
                f"http://127.0.0.1:{server.port}/openapi.json", "--max-examples", "200",
                "--seed", "1",
            ],
            cwd=tmp_path, capture_output=True, text=True,
        )  # fmt: skip
        print(done.stdout[-400:], file=sys.stderr)
        assert done.returncode == 0, done.stdout[-3000:]
        assert "Traceback" not in server.log.read_text()


def file_digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_kills_while_a_style_is_learned(learning_weights_folder: Path, tmp_path: Path) -> None:
    chance = random.Random(20)
    settings = make_settings(learning_weights_folder, tmp_path / "data", worker_nice=0)
    style = load_style(learning_weights_folder / "styles" / "birch.safetensors")
    library = StyleLibrary(
        learning_weights_folder / "styles", style.network, tmp_path / "data" / "styles"
    )
    library.add(replace(style, id="earlier"), b"preview", b"source")
    earlier = file_digests(tmp_path / "data" / "styles") | file_digests(learning_weights_folder)

    whole = Order("new", "whole", "Whole", {"stroke_size": 64, "steps": KILLED_STEPS}, "", now())
    jobs = Jobs(settings)
    uninterrupted = jobs.submit(whole, painting_bytes()).id
    cut = replace(whole, style="cut", title="Cut")
    with lone_worker(learning_weights_folder, tmp_path):
        wait_for(lambda: jobs.find(uninterrupted).finished, 600)
    job = jobs.submit(cut, painting_bytes()).id
    survived, at = 0, []
    for kill in range(KILLS):
        with lone_worker(learning_weights_folder, tmp_path) as worker:
            if kill % 2:  # while it starts, or while it trains
                before = at[-1]
                wait_for(lambda before=before: (jobs.find(job).step or 0) > before)
            time.sleep(chance.uniform(0, 4))
            worker.kill()
            worker.wait()
        found = jobs.find(job)
        survived += not found.finished
        at.append(found.step or 0)
        assert found.state != "failed", found.reason
        now_there = file_digests(tmp_path / "data" / "styles")
        now_there |= file_digests(learning_weights_folder)
        assert now_there.items() >= earlier.items(), "an earlier style is harmed"
    with lone_worker(learning_weights_folder, tmp_path):
        wait_for(lambda: jobs.find(job).finished, 600)
    assert jobs.find(job).state == "succeeded"
    jobs.close()
    folder = tmp_path / "data" / "styles"
    rows = [load_style(folder / f"{name}.safetensors").code for name in ("whole", "cut")]
    apart = float((rows[0] - rows[1]).abs().max())
    print(f"\n{KILLS} kills, {survived} of a job under way, at steps {at}: rows {apart:.1e} apart")
    assert apart < 1e-3
    steps = [e.data["step"] for e in jobs.files(job).events.reader().read() if e.name == "progress"]
    assert steps == sorted(set(steps)), "every step is told once"


def test_any_picture_gives_a_style_or_a_refusal() -> None:
    weights = asset_folder("weights")
    stylizer = Stylizer.load(weights, "cpu")
    library = StyleLibrary(weights / "styles", stylizer.fingerprint)
    predictor = load_predictor(weights, stylizer.fingerprint)
    photo = to_tensor(load_picture(asset_folder("static") / "samples" / "coffee.jpg").rgb)
    photo = photo[None, :, :96, :96].contiguous()
    found: Counter[str] = Counter()
    for number in range(ODD_PICTURES):
        kind = KINDS[number % len(KINDS)].__name__.strip("_")
        try:
            code = predictor.predict(odd_picture(number), 128)
        except UnfitPictureError:
            found[f"{kind} refused"] += 1
            continue
        library.check_import(Style("odd", "Odd", code, library.network))
        out = stylizer.stylize_batch(photo, [Look(code)])
        assert bool(out.isfinite().all()), number
        assert 0 <= float(out.min()) <= float(out.max()) <= 1, number
        found[kind] += 1
    print(dict(sorted(found.items())))
    assert found["flat refused"] > 0
    assert found["photo"] > found["photo refused"]
