"""What the image and its composition promise, as far as their texts tell."""

import re
from pathlib import Path

from dockerfile_in_chroot import instructions

ROOT = Path(__file__).resolve().parent.parent


def test_without_a_compiler_the_image_does_not_compile() -> None:
    last = instructions(ROOT / "Dockerfile")
    text = " ".join(
        rest for _, rest in last[max(i for i, (n, _) in enumerate(last) if n == "FROM") :]
    )
    assert "PASTICHE_COMPILE=off" in text or re.search(r"apt-get .*\bgcc\b", text)


def test_scratch_files_of_large_pictures_go_to_the_volume() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    (volume,) = re.findall(r"- styles:(/\S+)", text)
    (folder,) = re.findall(r"TMPDIR: (\S+)", text)
    assert folder == volume, "a folder that is there: else Python takes /tmp, which is memory"
    # Who sets variables of their own takes the common ones in, TMPDIR among them.
    blocks = re.findall(r"    environment:(.*)\n(.*)", text)
    assert blocks
    assert all("*environment" in first + second for first, second in blocks)
