"""Where feature maps are kept."""

import gc
from pathlib import Path

import pytest
import torch

from model.inference.streamed.bands import FileStore, MemoryStore, Store, scratch_folder

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("store", [MemoryStore(), FileStore(CPU)])
def test_what_is_written_in_bands_is_read_at_will(store: Store, dtype: torch.dtype) -> None:
    maps = torch.randn(1, 6, 13, 9).to(dtype)
    features = store.open((1, 6, 13, 9), dtype)
    for start in range(0, 13, 4):
        features.write(start, maps[:, :, start : start + 4])
    assert features.size == (13, 9)
    for start, stop in ((0, 13), (3, 5), (12, 13)):
        rows = features.read(start, stop)
        assert rows.dtype == dtype
        assert torch.equal(rows, maps[:, :, start:stop])
        assert rows.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("store", [MemoryStore(), FileStore(CPU)])
def test_nothing_is_read_before_it_is_written(store: Store) -> None:
    with pytest.raises(ValueError, match="nothing"):
        store.open((1, 2, 4, 4), torch.float32).read(0, 4)


def test_files_have_one_picture() -> None:
    with pytest.raises(ValueError, match="2 pictures"):
        FileStore(CPU).open((2, 3, 4, 4), torch.float32)


def test_files_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert scratch_folder() == tmp_path
    features = FileStore(CPU).open((1, 3, 64, 64), torch.float32)
    features.write(0, torch.rand(1, 3, 64, 64))
    assert list(tmp_path.iterdir()) == [], "no name to be left behind by a killed process"
    file = features._file
    del features
    gc.collect()
    assert file.closed
