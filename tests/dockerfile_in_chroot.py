"""Opt-in: run the Dockerfile's steps in order in a clean root, then the service in it.

    sudo python tests/dockerfile_in_chroot.py [--keep DIR]

For machines without a Docker engine. The base image, Python on a slim Debian, is replaced by a
fresh debootstrap with its Python; everything after ``FROM`` is taken from the Dockerfile
itself. Needs root, debootstrap, about 15 GB of disk and, like a build, the package registry.
Then: the CMD is started as the Dockerfile's user, its HEALTHCHECK must turn healthy, a photo must
be stylized, nothing may be left of build tools, and SIGTERM must end it with exit code 0.
"""

# ruff: noqa: S603, S607, T201 - a script that runs system tools and reports

import argparse
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SUITE = "bookworm"
PACKAGES = "python3,python3-venv,ca-certificates"
HOST_FILES = ("/etc/pip.conf", "/etc/resolv.conf", "/etc/ssl/certs/ca-certificates.crt")


@dataclass
class Stage:
    """One build stage as a folder."""

    root: Path
    env: dict[str, str]
    workdir: str = "/"
    user: str = "0"
    command: list[str] = field(default_factory=list)
    healthcheck: list[str] = field(default_factory=list)

    def inside(self, path: str) -> Path:
        """A path of the stage as one of this machine."""
        return self.root / str(Path(self.workdir, path)).lstrip("/")

    def arguments(self, command: list[str]) -> list[str]:
        """The command line that runs a command inside."""
        change = f"cd {shlex.quote(self.workdir)} && exec {shlex.join(command)}"
        user = f"--userspec={self.user}:{self.user}"
        return ["chroot", user, str(self.root), "/bin/sh", "-c", change]


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Instruction and arguments, lines joined, comments left out."""
    lines = [line for line in dockerfile.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    pairs = (line.split(None, 1) for line in joined.splitlines() if line.strip())
    return [(name.upper(), rest) for name, rest in pairs]


def build(dockerfile: Path, work: Path) -> Stage:
    """Run all stages; the last one comes back."""
    base = work / "base"
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(base)], check=True
    )
    for file in HOST_FILES:
        if Path(file).exists():
            shutil.copy(file, base / file.lstrip("/"))
    stages: dict[str, Stage] = {}
    stage = Stage(base, {})
    for name, rest in instructions(dockerfile):
        print(f"--- {name} {rest[:100]}", flush=True)
        if name == "FROM":
            title = rest.split(" AS ")[1] if " AS " in rest else f"stage{len(stages)}"
            root = work / title
            subprocess.run(["cp", "-a", str(base), str(root)], check=True)
            path = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
            stage = stages[title] = Stage(root, {"PATH": path, "HOME": "/root"})
        elif name == "RUN":
            subprocess.run(stage.arguments(["/bin/sh", "-c", rest]), env=stage.env, check=True)
        elif name == "COPY":
            copy(stage, rest, stages)
        elif name == "ENV":
            for pair in shlex.split(rest):
                key, _, value = pair.partition("=")
                stage.env[key] = value.replace("$PATH", stage.env["PATH"])
        elif name == "WORKDIR":
            stage.workdir = rest
            stage.inside(".").mkdir(parents=True, exist_ok=True)
        elif name == "USER":
            stage.user = rest
        elif name == "HEALTHCHECK":
            stage.healthcheck = json.loads(rest[rest.index("[") :])
        elif name == "CMD":
            stage.command = json.loads(rest)
    return stage


def copy(stage: Stage, rest: str, stages: dict[str, Stage]) -> None:
    """COPY, from the build context or another stage."""
    *sources, target = shlex.split(rest)
    origin = ROOT
    if sources[0].startswith("--from="):
        origin = stages[sources.pop(0).removeprefix("--from=")].root
    into = stage.inside(target)
    for source in sources:
        found = origin / source.lstrip("/")
        if found.is_dir():
            into.parent.mkdir(parents=True, exist_ok=True)
            subprocess.run(["cp", "-a", "-T", str(found), str(into)], check=True)
        else:
            shutil.copy(found, into / found.name if target.endswith("/") else into)


def check_service(stage: Stage) -> None:
    """Start the CMD, wait for the HEALTHCHECK, stylize, stop.

    Raises
    ------
    SystemExit
        Something of it failed.
    """
    for tool in ("gcc", "cc", "make"):
        search = stage.arguments(["sh", "-c", f"command -v {tool}"])
        if subprocess.run(search, env=stage.env, check=False).returncode == 0:
            raise SystemExit(f"{tool} is left in the image")
    if stage.env.get("PASTICHE_COMPILE") != "off":
        raise SystemExit("without a compiler nothing can be compiled: PASTICHE_COMPILE is not off")
    port = "18000"
    env = {**stage.env, "PASTICHE_PORT": port}
    begun = time.monotonic()
    server = subprocess.Popen(stage.arguments(stage.command), env=env)
    try:
        while subprocess.run(
            stage.arguments(stage.healthcheck), env=env, stderr=subprocess.DEVNULL, check=False
        ).returncode:
            if server.poll() is not None or time.monotonic() - begun > 90:
                raise SystemExit("not healthy in time")
            time.sleep(0.5)
        print(f"healthy after {time.monotonic() - begun:.1f} s")
        uid = Path(f"/proc/{server.pid}/status").read_text().split("Uid:")[1].split()[0]
        if uid == "0":
            raise SystemExit("the service runs as root")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/styles") as answer:
            style = json.load(answer)["styles"][0]
        picture = subprocess.run(
            ["curl", "-sf", "-F", f"image=@{ROOT}/static/samples/chelsea.jpg",
             "-F", f"style={style['id']}", f"http://127.0.0.1:{port}/v1/stylize"],
            capture_output=True, check=True,
        ).stdout  # fmt: skip
        print(f"stylized: {len(picture)} bytes, uid {uid}")
        server.send_signal(signal.SIGTERM)
        if code := server.wait(30):
            raise SystemExit(f"exit code {code} after SIGTERM")
    finally:
        server.kill()
        server.wait()


def main() -> None:
    """Build and check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="build here and leave it")
    keep = parser.parse_args().keep
    if os.geteuid() != 0:
        sys.exit("chroot needs root")
    work = keep or Path(tempfile.mkdtemp(prefix="pastiche-image-"))
    work.mkdir(parents=True, exist_ok=True)
    try:
        stage = build(ROOT / "Dockerfile", work)
        subprocess.run(["mount", "--bind", "/proc", str(stage.root / "proc")], check=True)
        try:
            check_service(stage)
        finally:
            subprocess.run(["umount", str(stage.root / "proc")], check=True)
        size = subprocess.run(
            ["du", "-sh", str(stage.root)], capture_output=True, text=True, check=False
        ).stdout.split()[0]
        print(f"image root: {size}; all checks passed")
    finally:
        if keep is None:
            shutil.rmtree(work)


if __name__ == "__main__":
    main()
