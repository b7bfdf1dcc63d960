#!/usr/bin/env python3
"""Quantizes a matrix by libggml itself.

    python quantize_with_ggml.py LIBGGML TYPE ROWS COLS VALUES BLOCKS [IMPORTANCE]

LIBGGML is libggml-base.so of a llama.cpp build, TYPE the number of a ggml type, VALUES a file of float32 [ROWS, COLS], IMPORTANCE one of [COLS]. Writes
the blocks to the file BLOCKS.
"""
import ctypes
import pathlib
import sys


def main():
    library, kind, rows, cols, values, blocks, *importance = sys.argv[1:]
    kind, rows, cols = int(kind), int(rows), int(cols)
    ggml = ctypes.CDLL(library)
    ggml.ggml_row_size.restype = ctypes.c_size_t
    ggml.ggml_row_size.argtypes = [ctypes.c_int, ctypes.c_int64]
    ggml.ggml_quantize_chunk.restype = ctypes.c_size_t
    ggml.ggml_quantize_chunk.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 2 + [ctypes.c_int64] * 3 + [ctypes.c_void_p]
    out = ctypes.create_string_buffer(rows * ggml.ggml_row_size(kind, cols))
    weights = pathlib.Path(importance[0]).read_bytes() if importance else None
    ggml.ggml_quantize_chunk(kind, pathlib.Path(values).read_bytes(), out, 0, rows, cols, weights)
    pathlib.Path(blocks).write_bytes(out.raw)


if __name__ == "__main__":
    main()
