"""Golden vectors for packages/formats, made by other people's code.

    python make-golden.py PEERS

needs torch and compressed-tensors 0.20; PEERS is the folder that holds checkpoints quantized by llm-compressor.
Reads describe.json (configs that Fewbit wrote, kept by the tests) and writes golden.json beside itself.
"""

import hashlib
import json
import pathlib
import sys

import torch
from compressed_tensors.compressors.naive_quantized.base import IntQuantizationCompressor
from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationConfig, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams
from compressed_tensors.utils.match import match_targets
from safetensors.torch import load_file

here = pathlib.Path(__file__).parent
TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
NAMES = {torch.int32: "I32", torch.int64: "I64", torch.int8: "I8", **{v: k for k, v in TYPES.items()}}


def main():
    golden = {
        "layout": [layout_case(*case) for case in layout_cases()],
        "nearest": [nearest_case(*case) for case in nearest_cases()],
        "configs": [config_case(case) for case in json.loads((here / "describe.json").read_text())],
        "peers": {name: peer_case(pathlib.Path(sys.argv[1]) / name) for name in ("llmc-baby-gptq4g32s", "llmc-baby-gptq4g32a")},
    }
    (here / "golden.json").write_text("{\n" + ",\n".join(f' "{k}": {json.dumps(v)}' for k, v in golden.items()) + "\n}\n")


# what the layout's own compressor writes for given codes, scales and zero points


def layout_cases():
    for bits in range(2, 9):
        for symmetric in (True, False):
            # 9 rows: at 8 or fewer the package's own 4-bit reader of zero points fails in a view
            yield bits, symmetric, "channel", None, 9, 37, "F32"
            yield bits, symmetric, "group", 16, 9, 32, "BF16"
    yield 4, False, "group", 32, 20, 64, "F16"
    yield 8, True, "tensor", None, 3, 7, "F32"


def layout_case(bits, symmetric, strategy, size, rows, cols, dtype):
    torch.manual_seed(bits)
    args = QuantizationArgs(num_bits=bits, symmetric=symmetric, strategy=strategy, group_size=size)
    scheme = QuantizationScheme(targets=["Linear"], weights=args)
    shape = [1] if strategy == "tensor" else [rows, cols // size if size else 1]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    scale = (torch.rand(shape) * 0.01 + 0.001).to(TYPES[dtype])
    zero = None if symmetric else torch.randint(low, high + 1, shape, dtype=torch.int8)
    codes = torch.randint(low, high + 1, (rows, cols), dtype=torch.int8)
    # a weight that the compressor rounds to just these codes
    spread = (lambda x: x.float().repeat_interleave(size, 1)) if size else (lambda x: x.float())
    weight = (codes.float() - (0 if zero is None else spread(zero))) * spread(scale)
    state = {"weight": weight, "weight_scale": scale} | ({} if zero is None else {"weight_zero_point": zero})
    compressor = IntQuantizationCompressor if strategy == "tensor" else PackedQuantizationCompressor
    packed = compressor.compress(state, scheme)
    return {
        "bits": bits,
        "symmetric": symmetric,
        "strategy": strategy,
        "size": size,
        "rows": rows,
        "cols": cols,
        "scaleType": dtype,
        "codes": flat(codes.int() - low),
        "zeros": None if zero is None else flat(zero.int() - low),
        "scales": flat(scale.float()),
        "tensors": {name: stored(tensor) for name, tensor in packed.items()},
        "decoded": digest(compressor.decompress({k: v.float() if k == "weight_scale" else v for k, v in packed.items()}, scheme)["weight"]),
    }


def stored(tensor):
    plain = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor  # numpy has no bfloat16
    return {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "hex": plain.numpy().tobytes().hex()}


# round to nearest in float32, by the formula of GPTQ's quant.py and by compressed-tensors


def nearest_cases():
    for bits in (2, 3, 4, 8):
        for symmetric in (True, False):
            yield bits, symmetric, 16, 5, 40
    yield 4, True, 40, 5, 40
    yield 4, False, 40, 5, 40


def nearest_case(bits, symmetric, size, rows, cols):
    torch.manual_seed(100 + bits)
    weight = torch.randn(rows, cols) * 0.05
    weight[1] *= 1e-6
    weight[2] *= 1e6
    weight[3] = 0
    codes, scales, zeros = torch.zeros(rows, cols), [], []
    args = QuantizationArgs(num_bits=bits, symmetric=symmetric, strategy="channel")
    for start in range(0, cols, size):
        part = weight[:, start : start + size]
        code, scale, zero = gptq_nearest(part, bits, symmetric)
        codes[:, start : start + size] = code
        scales.append(scale)
        zeros.append(zero)
        # the other reference agrees wherever a tile is not all zero (its rule for those differs)
        other, offset = calculate_qparams(part.amin(1, keepdim=True), part.amax(1, keepdim=True), args)
        used = part.abs().amax(1) > 0
        assert torch.equal(other[used], scale[used]) and torch.equal(offset[used] + 2.0 ** (bits - 1), zero[used])
    return {
        "bits": bits,
        "symmetric": symmetric,
        "size": size,
        "rows": rows,
        "cols": cols,
        "weight": flat(weight),
        "codes": flat(codes.int()),
        "scales": flat(torch.cat(scales, 1)),
        "zeros": flat(torch.cat(zeros, 1).int()),
        "decoded": digest(torch.cat([(codes[:, i * size : (i + 1) * size] - z) * s for i, (s, z) in enumerate(zip(scales, zeros))], 1)),
    }


def gptq_nearest(x, bits, symmetric):
    top = 2**bits - 1
    low, high = x.amin(1, keepdim=True).clamp(max=0), x.amax(1, keepdim=True).clamp(min=0)
    if symmetric:
        high = torch.maximum(low.abs(), high)
        low = -high
    empty = (low == 0) & (high == 0)
    low, high = low.masked_fill(empty, -1), high.masked_fill(empty, 1)
    scale = (high - low) / top
    zero = torch.full_like(scale, 2 ** (bits - 1)) if symmetric else torch.round(-low / scale)
    return torch.clamp(torch.round(x / scale) + zero, 0, top), scale, zero


# configs that Fewbit wrote, as the package reads them


def config_case(case):
    config = QuantizationConfig.model_validate(case["config"])
    targets = {target: scheme for scheme in config.config_groups.values() for target in scheme.targets}
    linear = torch.nn.Linear(1, 1)
    resolved = {}
    for name in case["modules"]:
        found = [] if match_targets(name, linear, config.ignore) else match_targets(name, linear, targets)
        weights = targets[found[0]].weights if found else None
        resolved[name] = weights and {"num_bits": weights.num_bits, "symmetric": weights.symmetric, "strategy": weights.strategy, "group_size": weights.group_size}
    return {"format": config.format, "status": config.quantization_status.value, "resolved": resolved}


# decoded weights of whole checkpoints


def peer_case(folder):
    config = json.loads((folder / "config.json").read_text())["quantization_config"]
    scheme = QuantizationConfig.model_validate(config).config_groups["group_0"]
    state = load_file(folder / "model.safetensors")
    modules = sorted(name.removesuffix(".weight_packed") for name in state if name.endswith(".weight_packed"))
    local = lambda module: {name[len(module) + 1 :]: tensor for name, tensor in state.items() if name.startswith(module + ".")}
    return {module: digest(PackedQuantizationCompressor.decompress(local(module), scheme)["weight"]) for module in modules}


def digest(tensor):
    """sha256 of the float32 values, and the first of them."""
    tensor = tensor.float().contiguous()
    return {"sha256": hashlib.sha256((tensor + 0.0).numpy().tobytes()).hexdigest(), "first": flat(tensor)[:4]}


def flat(tensor):
    return tensor.flatten().tolist()


if __name__ == "__main__":
    main()
