#!/usr/bin/env python3
"""Runs checkpoints in transformers (CPU, float32 unless the request says otherwise): a request a line on stdin, an answer a line on stdout, as JSON.

Request: {"model": DIR, "ids": [...], "prompt": [...], "max_tokens": N, "windows": [[...], ...], "dtype": "float32", "unpacked": false, "nudged": false}
Answer:  {"logits": base64 of float32 [len(ids), vocabulary], "greedy": [...], "losses": those of the windows' inner predictions, nats,
          "nudged": if asked for, the logits where embeddings are larger by a millionth,
          "unpacked": if asked for, the logits of the same model in float32 with the weights that its layers hold}
         or {"error": what went wrong}

One process answers many: to import torch, transformers and GPTQModel takes longer than to run a small model in them.
"""
import base64
import functools
import gc
import json
import os
import sys
import traceback

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # libraries print

import bitsandbytes
import compressed_tensors.compressors.nvfp4.base as fp4
import torch
import transformers

unpack_fp4 = fp4.unpack_fp4_from_uint8


def main():
    torch.set_num_threads(2)
    for line in sys.stdin:
        try:
            answer = answer_to(json.loads(line))
        except Exception:
            answer = {"error": traceback.format_exc()}
        gc.collect()  # a model is full of cycles
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


@torch.no_grad()
def answer_to(request):
    dtype = getattr(torch, request.get("dtype", "float32"))
    fp4.unpack_fp4_from_uint8 = functools.partial(unpack_fp4, dtype=dtype)  # it decodes to bfloat16 by itself, whatever the model's dtype is
    model = transformers.AutoModelForCausalLM.from_pretrained(request["model"], dtype=dtype, local_files_only=True)
    model.eval()
    unpack_4bit(model, dtype)
    mend_8bit(model)
    held = held_weights(model) if request.get("unpacked") else {}
    answer = {}
    if request.get("ids"):
        answer["logits"] = logits(model, request["ids"])
    if request.get("prompt"):
        answer["greedy"] = greedy(model, request["prompt"], request["max_tokens"])
    if request.get("windows"):
        answer["losses"] = losses(model, request["windows"])
    if request.get("nudged"):
        answer["nudged"] = nudged(model, request["ids"])
    if request.get("unpacked"):
        answer["unpacked"] = logits(unpacked(model, held), request["ids"])
    return answer


def logits(model, ids):
    values = model(torch.tensor([ids])).logits[0].to(torch.float32).contiguous()
    return base64.b64encode(values.numpy().tobytes()).decode()


def unpack_4bit(model, dtype):
    """
    bitsandbytes' 4-bit layers as plain ones, by its own decoding of the flat matrix. Left to themselves they compute in the precision of the
    checkpoint's config, in bfloat16 on processors that multiply it, and with AVX-512 take every row to begin a block.
    """
    for name, layer in list(model.named_modules()):
        if not hasattr(layer, "support_avx512bf16_for_cpu"):
            continue
        state = layer.weight.quant_state
        shape, state.shape, state.dtype = state.shape, torch.Size([1, state.shape.numel()]), torch.float32
        flat = bitsandbytes.functional.dequantize_4bit(layer.weight.data.reshape(-1, 1), state)
        model.set_submodule(name, plain_layer(flat.reshape(shape), layer.bias, dtype))


def mend_8bit(model):
    """
    Scales of bitsandbytes' 8-bit layers, smaller by what its products come out larger: its code has 6.200124e-05 for 1 / 127², which is 6.2000124e-05.
    Of a difference of 2e-5 in every product, inputs that are rounded at halves make one of 4e-3 within a block.
    """
    for layer in model.modules():
        scales = getattr(getattr(layer, "weight", None), "SCB", None)
        if scales is not None:
            scales.mul_(6.2000124e-05 / 6.200124e-05)


def plain_layer(weight, bias=None, dtype=torch.float32):
    plain = torch.nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, dtype=dtype)
    plain.weight.copy_(weight)
    if bias is not None:
        plain.bias.copy_(bias)
    return plain


def greedy(model, prompt, count):
    """Without a cache and without generation settings: the plain definition."""
    ids = list(prompt)
    for _ in range(count):
        ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt):]


def losses(model, windows):
    found = []
    for window in windows:
        ids = torch.tensor([window])
        logits = model(ids).logits[0, :-1].double()
        found += torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="none").tolist()
    return found


def nudged(model, ids):
    """What the model makes of a difference that no program would notice: how far two programs may be apart that do the same."""
    hook = model.get_input_embeddings().register_forward_hook(lambda module, inputs, output: output * (1 + 2**-20))
    answer = logits(model, ids)
    hook.remove()
    return answer


def held_weights(model):
    """By name, what GPTQModel unpacks its layers to, in float32. Its kernels round scales to bfloat16 at the first product, so this comes before."""
    return {name: held_weight(layer) for name, layer in model.named_modules() if hasattr(layer, "qweight")}


def held_weight(layer):
    scales, layer.scales = layer.scales, layer.scales.float()
    awq = hasattr(layer, "awq_weight_dequantize")
    weight = layer.awq_weight_dequantize("cpu", torch.float32) if awq else layer.dequantize_weight()
    layer.scales = scales
    return weight.T


def unpacked(model, held):
    """The model in float32, with these weights in the place of quantized layers; compressed-tensors has put plain layers there by itself."""
    for name, weight in held.items():
        model.set_submodule(name, plain_layer(weight))
    return torch.nn.Module.float(model)  # transformers refuses it for a model that was quantized


if __name__ == "__main__":
    main()
