"""Checked safetensors: a digest in the metadata finds the flipped bits that the format does not.

Nothing here unpickles.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

DIGEST_KEY = "sha256"


class DamagedFileError(ValueError):
    """The bytes are not what was written: truncated, altered, or not finite."""


def digest_tensors(tensors: Mapping[str, Tensor], prefix: str = "") -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of names; 64 hex digits."""
    digest = hashlib.sha256(prefix.encode())
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def pack_tensors(tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> bytes:
    """Tensors and metadata (plain JSON values) as one file with a digest of both."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata, sort_keys=True, ensure_ascii=False, allow_nan=False)
    digest = digest_tensors(whole, prefix=text)
    return save(whole, {"pastiche": text, DIGEST_KEY: digest})


def unpack_tensors(data: bytes, finite: bool = True) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of `pack_tensors`, verified.

    Parameters
    ----------
    finite
        Whether values that are not finite are refused.

    Raises
    ------
    DamagedFileError
        Not safetensors, no or wrong digest, or a value that must be finite and is not.
    """
    try:
        tensors = load(data)
        # Validated by `load`: eight bytes of length, then the header as JSON.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        stored = header.get("__metadata__", {})
        text, digest = stored["pastiche"], stored[DIGEST_KEY]
        metadata = json.loads(text)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFileError("not a file written by Pastiche, or cut short") from error
    if digest != digest_tensors(tensors, prefix=text):
        raise DamagedFileError("its contents do not match its checksum")
    for name, tensor in tensors.items():
        if finite and tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            raise DamagedFileError(f"{name} holds numbers that are not finite")
    if not isinstance(metadata, dict):
        raise DamagedFileError("its metadata are not an object")
    return tensors, metadata
