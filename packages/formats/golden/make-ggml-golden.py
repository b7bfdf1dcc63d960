"""Golden vectors for the ggml block types, made by libggml itself.

    python make-ggml-golden.py LIBGGML

needs numpy; LIBGGML is libggml-base.so of a llama.cpp build, such as the one in the npm package @node-llama-cpp/linux-x64 3.22.1.
Writes ggml.json beside itself: rows of values and of importance, and for each type the blocks that ggml makes of them, plain and
with the importance, with the SHA-256 of the values that ggml reads back from them.
"""

import base64
import ctypes
import hashlib
import json
import pathlib
import sys

import numpy as np

TYPES = {
    "q4_0": (2, 18, 32), "q4_1": (3, 20, 32), "q5_0": (6, 22, 32), "q5_1": (7, 24, 32), "q8_0": (8, 34, 32),
    "q2_k": (10, 84, 256), "q3_k": (11, 110, 256), "q4_k": (12, 144, 256), "q5_k": (13, 176, 256), "q6_k": (14, 210, 256),
    "iq4_nl": (20, 18, 32), "iq4_xs": (23, 136, 256), "tq1_0": (34, 54, 256), "tq2_0": (35, 66, 256), "mxfp4": (39, 17, 32),
}  # fmt: skip
N = 256
lib = ctypes.CDLL(sys.argv[1])
lib.ggml_quantize_chunk.restype = ctypes.c_size_t
lib.ggml_quantize_chunk.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 3 + [ctypes.c_void_p]


def rows():
    rng = np.random.Generator(np.random.PCG64(20240811))
    normal = rng.standard_normal((3, N))
    outlier = rng.standard_normal(N) * 0.02
    outlier[37] = 3
    ragged = rng.standard_normal(N)
    ragged[64:128] = 0
    ragged[128:160] *= 1e-4
    ragged[160:192] = np.abs(ragged[160:192])
    ragged[192:224] = 0.5
    halves = ((7 * np.arange(N)) % 32 - 15) / 8
    every = [normal[0], normal[1] * 0.02, rng.standard_t(3, N) * 0.05, rng.random(N) + 1, -np.abs(normal[2]), outlier, ragged, halves, np.zeros(N), normal[1] * 1e-7]
    return np.stack(every).astype(np.float32)


def quantize(name, x, importance):
    kind, size, block = TYPES[name]
    out = np.zeros(N // block * size, np.uint8)
    source = np.ascontiguousarray(x)
    weights = None if importance is None else np.ascontiguousarray(importance).ctypes.data
    lib.ggml_quantize_chunk(kind, source.ctypes.data, out.ctypes.data, 0, 1, N, weights)
    back = np.zeros(N, np.float32)
    row = getattr(lib, "dequantize_row_" + name.replace("_k", "_K"))
    row.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    row(out.ctypes.data, back.ctypes.data, N)
    return [base64.b64encode(out.tobytes()).decode(), hashlib.sha256(back.tobytes()).hexdigest()]


def main():
    x = rows()
    importance = np.random.Generator(np.random.PCG64(7)).chisquare(2, x.shape).astype(np.float32)
    golden = {"x": [base64.b64encode(row.tobytes()).decode() for row in x], "importance": [base64.b64encode(row.tobytes()).decode() for row in importance]}
    golden["types"] = {name: {"plain": [quantize(name, row, None) for row in x], "imatrix": [quantize(name, row, w) for row, w in zip(x, importance)]} for name in TYPES}
    path = pathlib.Path(__file__).parent / "ggml.json"
    path.write_text(json.dumps(golden, separators=(",", ":")).replace("]],", "]],\n") + "\n")


main()
