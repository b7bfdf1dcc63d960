"""Golden vectors of number formats, made by other people's code: numbers.json beside this script.

    python make-numbers.py            writes it
    python make-numbers.py --check    makes it anew and fails where it differs

needs torch 2.13 (CPU), compressed-tensors 0.20, bitsandbytes 0.50, ml-dtypes 0.6. Arrays are base64 of little-endian bytes.
"""

import base64
import json
import pathlib
import sys

import ml_dtypes
import numpy
import torch
from bitsandbytes import functional as bnb
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import dequantize, quantize
from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

path = pathlib.Path(__file__).parent / "numbers.json"


def main():
    sections = {
        "elements": [element_case(*case) for case in ELEMENTS],
        "scaled": [scaled_case(*case) for case in scaled_cases()],
        "blockwise": [blockwise_case(*case) for case in blockwise_cases()],
        "int8": [int8_case(seed) for seed in range(3)],
        "int8Inputs": [int8_inputs_case(seed) for seed in range(3)],
        "dynamicMap": encode(bnb.create_dynamic_map().numpy()),
    }
    lines = [f' "{name}": {json.dumps(cases)}' for name, cases in sections.items()]
    text = "{\n" + ",\n".join(lines) + "\n}\n"
    if "--check" not in sys.argv:
        path.write_text(text)
    elif path.read_text() != text:
        sys.exit(f"{path.name} differs from what the packages give now")


def encode(array):
    return base64.b64encode(numpy.ascontiguousarray(array).tobytes()).decode()


# every code of the element types, and where the points half-way between neighbours round to

ELEMENTS = [("e4m3", ml_dtypes.float8_e4m3fn), ("e5m2", ml_dtypes.float8_e5m2), ("e2m1", ml_dtypes.float4_e2m1fn), ("e8m0", ml_dtypes.float8_e8m0fnu)]


def element_case(name, dtype):
    codes = numpy.arange(16 if name == "e2m1" else 256, dtype=numpy.uint8)
    values = codes.view(dtype).astype(numpy.float32)
    finite = numpy.unique(values[numpy.isfinite(values)].astype(numpy.float64))
    halves = ((finite[:-1] + finite[1:]) / 2).astype(numpy.float32)
    probes = halves if name == "e8m0" else numpy.concatenate([halves, numpy.nextafter(halves, numpy.float32(-numpy.inf)), numpy.nextafter(halves, numpy.float32(numpy.inf))])
    return {"name": name, "values": encode(values), "probes": encode(probes), "codes": encode(probes.astype(dtype).view(numpy.uint8))}


# floats under shared scales, by compressed-tensors


def scaled_cases():
    float8 = dict(num_bits=8, type="float", symmetric=True)
    yield "fp8 tensor", dict(float8, strategy="tensor"), (5, 24), None
    yield "fp8 channel", dict(float8, strategy="channel"), (7, 40), None
    yield "fp8 group", dict(float8, strategy="group", group_size=16), (5, 48), (1, 16)
    yield "fp8 block", dict(float8, strategy="block", block_structure=[4, 16]), (10, 40), (4, 16)
    mx = dict(type="float", symmetric=True, strategy="group", group_size=32, scale_dtype=torch.uint8, zp_dtype=torch.uint8)
    yield "mxfp4", dict(mx, num_bits=4), (24, 96), (1, 32)
    yield "mxfp8", dict(mx, num_bits=8), (24, 96), (1, 32)
    nv = dict(num_bits=4, type="float", symmetric=True, strategy="tensor_group", group_size=16, scale_dtype=torch.float8_e4m3fn, zp_dtype=torch.float8_e4m3fn)
    yield "nvfp4", nv, (24, 64), (1, 16)


def scaled_case(name, fields, shape, tile):
    torch.manual_seed(sum(map(ord, name)))
    weight = torch.randn(shape) * 0.05
    weight[0] *= torch.logspace(-3, 2, shape[1])  # many binades
    weight[1] = 0
    weight[2] *= 1e-7
    weight[3] = (torch.randint(-24, 25, (shape[1],)) / 8).float()  # half-way points, once scaled by a power of two
    args = QuantizationArgs(**fields)
    gparam = generate_gparam(weight.amin(), weight.amax()) if name == "nvfp4" else None
    tiles = tiled(weight, shape if tile is None and args.strategy == "tensor" else tile or (1, shape[1]))
    low = torch.stack([torch.stack([t.amin() for t in row]) for row in tiles])
    high = torch.stack([torch.stack([t.amax() for t in row]) for row in tiles])
    scale, zero = calculate_qparams(low, high, args, global_scale=gparam)
    if args.strategy == "tensor":
        scale, zero = scale.reshape(1), zero.reshape(1)
    # the package's own block reader pads; it is given what it asks for
    padded = weight if args.strategy != "block" else torch.nn.functional.pad(weight, (0, -shape[1] % tile[1], 0, -shape[0] % tile[0]))
    quantized = quantize(padded, scale.float(), zero.float() if args.strategy == "block" else None, args, global_scale=gparam)
    decoded = dequantize(quantized, scale.float(), None, args, dtype=torch.float32, global_scale=gparam)
    cut = lambda x: x[: shape[0], : shape[1]].contiguous()
    return {
        "name": name,
        "rows": shape[0],
        "cols": shape[1],
        "weight": encode(weight.numpy()),
        "scales": encode(scale.float().numpy()),
        "divisor": None if gparam is None else gparam.item(),
        "elements": encode(cut(quantized).float().numpy()),
        "decoded": encode(cut(decoded).float().numpy()),
    }


def tiled(weight, tile):
    return [[weight[i : i + tile[0], j : j + tile[1]] for j in range(0, weight.shape[1], tile[1])] for i in range(0, weight.shape[0], tile[0])]


# bitsandbytes: 4-bit codebooks over the flattened matrix, their absmax quantized in turn, and rows of int8


def blockwise_cases():
    for kind in ("nf4", "fp4"):
        for size in (32, 64, 4096):
            yield kind, size, False, (9, 30)
        yield kind, 32, True, (131, 63)  # 258 blocks, the last one ragged: two of absmax


def blockwise_case(kind, size, nested, shape):
    torch.manual_seed(size + len(kind) + nested)
    weight = torch.randn(shape) * 0.05
    weight[1] = 0
    weight[2] *= 1e-7
    if not nested:
        weight[3:6] = torch.tensor([bnb_half(kind, i) for i in range(90)]).reshape(3, 30)
    packed, state = bnb.quantize_4bit(weight, blocksize=size, compress_statistics=nested, quant_type=kind)
    bytes_ = packed.flatten()
    codes = torch.stack([bytes_ >> 4, bytes_ & 15], 1).flatten()[: weight.numel()]
    case = {
        "kind": kind,
        "size": size,
        "rows": shape[0],
        "cols": shape[1],
        "weight": encode(weight.numpy()),
        "levels": encode(state.code.numpy()),
        "codes": encode(codes.numpy()),
        "absmax": encode(state.absmax.numpy()),
    }
    if not nested:
        # FP4's second 0 reads back as −0 on some processors.
        return case | {"decoded": encode(bnb.dequantize_4bit(packed, state).numpy() + 0.0)}
    decoded = bnb.dequantize_blockwise(state.absmax, state.state2) + state.offset
    return case | {"offset": state.offset.item(), "nestedAbsmax": encode(state.state2.absmax.numpy()), "decodedAbsmax": encode(decoded.numpy())}


def bnb_half(kind, i):
    """A value half-way between two levels once it is divided by an absmax of 1, which comes first."""
    levels = bnb.get_4bit_type(kind, device="cpu").unique()
    at = i % (len(levels) - 1)
    return 1.0 if i % 30 == 0 else ((levels[at] + levels[at + 1]) / 2).item()


def int8_case(seed):
    torch.manual_seed(seed)
    weight = (torch.randn(6, 50) * 10.0 ** -seed).half()
    weight[1] = 0
    weight[2] = (torch.arange(50) - 25) / 2  # halves
    weight[2, 0] = 127
    codes, absmax, _ = bnb.int8_vectorwise_quant(weight.clone())
    codes[1] = 0  # 0 · ∞ has no defined byte
    return {
        "rows": 6,
        "cols": 50,
        "weight": encode(weight.float().numpy()),
        "codes": encode(codes.numpy()),
        "absmax": encode(absmax.numpy()),
        "decoded": encode(bnb.int8_vectorwise_dequant(codes, absmax).numpy()),
    }


def int8_inputs_case(seed):
    """What a layer sees of float32 inputs: codes of the columns that no outlier is in; the others stay."""
    torch.manual_seed(seed)
    inputs = torch.randn(5, 40) * 2.0
    inputs[0, 3], inputs[4, 17], inputs[2, 17] = 9.0, -60.0, 5.5
    inputs[3, 20] = 5.999  # half precision has 6
    codes, absmax, outliers = bnb.int8_vectorwise_quant(inputs.half(), threshold=6.0)
    decoded = bnb.int8_vectorwise_dequant(codes, absmax)
    decoded[:, outliers] = inputs[:, outliers]
    return {"rows": 5, "cols": 40, "inputs": encode(inputs.numpy()), "decoded": encode(decoded.numpy())}


if __name__ == "__main__":
    main()
