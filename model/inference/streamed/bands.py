"""Where the feature maps of a large picture stay between two layers: in memory or on disk."""

import os
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from model.inference.streamed.convolution import Rows


class Features(Rows, Protocol):
    """Feature maps that are written once, in bands of rows from the top, and read often."""

    def write(self, start: int, rows: Tensor) -> None:
        """Keep (N, C, h, W) from row ``start`` on."""


class Store(Protocol):
    """Makes places for feature maps."""

    def open(self, shape: tuple[int, int, int, int], dtype: torch.dtype) -> Features:
        """A place for (N, C, H, W)."""


class MemoryFeatures:
    """Feature maps in the memory of the device that computes them."""

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self.shape = shape
        self._tensor: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.shape[2], self.shape[3]

    def write(self, start: int, rows: Tensor) -> None:
        """Keep (N, C, h, W) from row ``start`` on."""
        if rows.shape[2] == self.shape[2]:
            self._tensor = rows  # the whole in one band: as it is
            return
        if self._tensor is None:
            self._tensor = torch.empty(
                self.shape,
                dtype=rows.dtype,
                device=rows.device,
                memory_format=torch.channels_last,
            )
        self._tensor[:, :, start : start + rows.shape[2]] = rows

    def read(self, start: int, stop: int) -> Tensor:
        """Rows start to stop: a view."""
        if self._tensor is None:
            raise ValueError("nothing has been written")
        return self._tensor[:, :, start:stop]


class MemoryStore:
    """Keeps everything in memory."""

    def open(self, shape: tuple[int, int, int, int], dtype: torch.dtype) -> MemoryFeatures:  # noqa: ARG002 - what is written brings its type
        """A place for (N, C, H, W)."""
        return MemoryFeatures(shape)


class FileFeatures:
    """Feature maps of one picture in a file without a name.

    Rows lie one after the other with channels last, so a band of rows is one stretch of the file.
    Reading and writing, unlike a mapped file, leaves nothing in this process's memory.

    Parameters
    ----------
    shape
        (1, C, H, W).
    dtype
        Of the rows. Half precision for float32 would save half the disk, but not keep the promise
        of one level: in smooth pictures styles make texture of the least difference, and rounding
        to float16 came to 6 levels.
    device
        On which rows are wanted again.
    folder
        On the disk that has the space.
    """

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        dtype: torch.dtype,
        device: torch.device,
        folder: Path,
    ) -> None:
        if shape[0] != 1:
            raise ValueError(f"{shape[0]} pictures at once, allowed is 1")
        self.shape = shape
        self.dtype = dtype
        self.device = device
        self._row = shape[1] * shape[3] * dtype.itemsize  # bytes
        self._file = tempfile.TemporaryFile(prefix="pastiche-", dir=folder)  # noqa: SIM115
        weakref.finalize(self, self._file.close)  # and its space on the disk is free again

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.shape[2], self.shape[3]

    def write(self, start: int, rows: Tensor) -> None:
        """Keep (1, C, h, W) from row ``start`` on.

        Raises
        ------
        OSError
            The disk is full.
        """
        data = rows.to(self.dtype).permute(0, 2, 3, 1).contiguous().cpu()  # (1, h, W, C)
        self._file.seek(start * self._row)
        self._file.write(data.view(torch.uint8).numpy().data)

    def read(self, start: int, stop: int) -> Tensor:
        """Rows start to stop, channels last, on the device."""
        _, channels, _, width = self.shape
        data = np.empty((stop - start) * self._row, np.uint8)
        self._file.seek(start * self._row)
        if self._file.readinto(data.data) != len(data):
            raise ValueError("nothing has been written")
        rows = torch.from_numpy(data).view(self.dtype).view(1, stop - start, width, channels)
        return rows.permute(0, 3, 1, 2).to(self.device)


@dataclass(frozen=True)
class FileStore:
    """Keeps feature maps in files that vanish with what reads them, or with the process.

    Parameters
    ----------
    device
        On which rows are wanted again.
    """

    device: torch.device

    def open(self, shape: tuple[int, int, int, int], dtype: torch.dtype) -> FileFeatures:
        """A place for (1, C, H, W)."""
        return FileFeatures(shape, dtype, self.device, scratch_folder())


def scratch_folder() -> Path:
    """Where large temporary files belong.

    ``TMPDIR`` where it is set; else /var/tmp, which lies on a disk where /tmp may be memory.
    """
    disk = Path("/var/tmp")  # noqa: S108 - the files in it have no name
    if not os.environ.get("TMPDIR") and disk.is_dir() and os.access(disk, os.W_OK):
        return disk
    return Path(tempfile.gettempdir())
