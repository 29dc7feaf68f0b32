"""Reads and writes safetensors files: 8-byte little-endian header length, JSON header, raw data."""

import json
import struct

import numpy as np

DTYPES = {"F64": "<f8", "I64": "<i8", "F32": "<f4", "I32": "<i4", "F16": "<f2", "U8": "u1", "I8": "i1", "BOOL": "?"}
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}


def read(path):
    """Returns ({name: array}, {metadata})."""
    with open(path, "rb") as file:
        data = file.read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        array = np.frombuffer(data[begin:end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = array.reshape(entry["shape"]).copy()
    return tensors, metadata


def write(path, tensors, metadata):
    """Widest dtype first, so that every tensor is aligned for a typed array that views the file."""
    arrays = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    ordered = sorted(arrays.items(), key=lambda item: -item[1].dtype.itemsize)
    header = {"__metadata__": {key: str(value) for key, value in metadata.items()}}
    offset = 0
    for name, array in ordered:
        end = offset + array.nbytes
        header[name] = {"dtype": NAMES[array.dtype], "shape": list(array.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, array in ordered:
            file.write(array.tobytes())
