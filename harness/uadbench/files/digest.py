"""Digests over what arrays say, not over file bytes: the same data has the same digest in any file."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def digest_array(array: np.ndarray) -> str:
    """SHA-256 in hex over dtype, shape and little-endian C-order bytes of an array of numbers or bools."""
    plain = np.ascontiguousarray(array)
    return digest_blocks(plain.dtype, plain.shape, [plain])


def digest_blocks(dtype: np.dtype, shape: tuple[int, ...], blocks: Iterable[np.ndarray]) -> str:
    """`digest_array` of an array that comes in blocks of whole rows, so that it need never be whole in memory."""
    little = dtype.newbyteorder("<")
    state = hashlib.sha256(f"{little.str}{shape}".encode())
    for block in blocks:
        plain = np.ascontiguousarray(block).astype(little, copy=False)
        state.update(plain.data if plain.size else b"")
    return state.hexdigest()


def digest_texts(texts: Iterable[str]) -> str:
    """SHA-256 in hex over a sequence of texts; where one ends and the next begins counts."""
    state = hashlib.sha256()
    for text in texts:
        raw = text.encode()
        state.update(len(raw).to_bytes(8, "little") + raw)
    return state.hexdigest()


def digest_json(value: Mapping[str, Any]) -> str:
    """SHA-256 in hex over the canonical JSON of a mapping: sorted keys, no spaces."""
    return digest_texts([canonical_json(value)])


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces; NaN is refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
