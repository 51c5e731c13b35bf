"""Checked safetensors: a digest in the metadata finds the flipped bits that the format does not.

Nothing here unpickles.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

DIGEST_KEY = "sha256"
MAX_DEPTH = 32  # of nested metadata; ours have three levels

# Strings, openings and ends; a string without an end goes to the end, or the search were quadratic.
_NESTING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\\?\Z)|([\[{])|([\]}])', re.DOTALL)


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


def unpack_tensors(
    data: bytes, finite: bool = True, max_header_bytes: int | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of `pack_tensors`, verified.

    Parameters
    ----------
    finite
        Whether values that are not finite are refused.
    max_header_bytes
        Of what is parsed before the digest can be checked; none, any number.

    Raises
    ------
    DamagedFileError
        Not safetensors, no or wrong digest, a value that must be finite and is not, or metadata
        that are too long, too deep, or no plain JSON.
    """
    if max_header_bytes is not None and int.from_bytes(data[:8], "little") > max_header_bytes:
        raise DamagedFileError(f"its description has more than {max_header_bytes} bytes")
    try:
        tensors = load(data)
        # Validated by `load`: eight bytes of length, then the header as JSON.
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        stored = header.get("__metadata__", {})
        text, digest = stored["pastiche"], stored[DIGEST_KEY]
        metadata = _parse(text)
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


def _parse(text: str) -> Any:
    """Metadata that could be written again: anything else would fail later, where it hurts."""
    depth = 0
    for match in _NESTING.finditer(text):
        depth += (match[1] is not None) - (match[2] is not None)
        if depth > MAX_DEPTH:  # before the parser recurses
            raise ValueError("too deep")
    metadata = json.loads(text)
    # Neither lone surrogates nor numbers beyond all bounds have a form of their own.
    json.dumps(metadata, ensure_ascii=False, allow_nan=False).encode()
    return metadata
