"""What the safetensors package writes for a few tensors: small.safetensors.

    python make-golden.py

needs numpy, ml_dtypes and safetensors (0.8 at the time of writing). The bytes of each tensor are 0, 1, 2 … (of bools 0, 1, 0 …).
"""

import pathlib

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

SHAPES = {
    "model.norm.weight": (np.float32, [3]),
    "model.embed_tokens.weight": (ml_dtypes.bfloat16, [5, 3]),
    "lm_head.weight": (np.float16, [2, 7]),
    "a.weight_packed": (np.int32, [2, 2]),
    "a.weight_shape": (np.int64, [2]),
    "a.weight_zero_point": (np.int8, [3, 1]),
    "scalar": (np.float64, []),
    'mask \u00e9 "q"': (np.bool_, [1]),
    "10": (np.uint8, [2]),
    "9": (np.uint8, [1]),
    "none": (np.float32, [0, 4]),
    "i16": (np.int16, [1]),
    "u16": (np.uint16, [1]),
    "u32": (np.uint32, [1]),
    "u64": (np.uint64, [1]),
    "f8_e4m3": (ml_dtypes.float8_e4m3fn, [1]),
    "f8_e5m2": (ml_dtypes.float8_e5m2, [1]),
    "f8_e8m0": (ml_dtypes.float8_e8m0fnu, [1]),
}


def tensor(dtype, shape):
    count = int(np.prod(shape)) * np.dtype(dtype).itemsize
    values = bytes(i % (2 if dtype is np.bool_ else 256) for i in range(count))
    return np.frombuffer(values, dtype=dtype).reshape(shape)


if __name__ == "__main__":
    tensors = {name: tensor(dtype, shape) for name, (dtype, shape) in SHAPES.items()}
    save_file(tensors, pathlib.Path(__file__).parent / "small.safetensors", metadata={"format": "pt"})
