#!/usr/bin/env python3
"""Runs checkpoints in transformers (CPU, float32 unless the request says otherwise): a request a line on stdin, an answer a line on stdout, as JSON.

Request: {"model": DIR, "ids": [...], "prompt": [...], "max_tokens": N, "windows": [[...], ...], "dtype": "float32", "unpacked": false}
Answer:  {"logits": base64 of float32 [len(ids), vocabulary], "greedy": [...], "nll": mean over the windows' inner predictions,
          "unpacked": if asked for, the logits of the same model in float32 with the weights that its layers hold}
         or {"error": what went wrong}

One process answers many: to import torch, transformers and GPTQModel takes longer than to run a small model in them.
"""
import base64
import gc
import json
import os
import sys
import traceback

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)  # libraries print

import bitsandbytes
import torch
import transformers


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
    model = transformers.AutoModelForCausalLM.from_pretrained(request["model"], dtype=dtype, local_files_only=True)
    model.eval()
    unpack_4bit(model, dtype)
    held = held_weights(model) if request.get("unpacked") else {}
    answer = {}
    if request.get("ids"):
        answer["logits"] = logits(model, request["ids"])
    if request.get("prompt"):
        answer["greedy"] = greedy(model, request["prompt"], request["max_tokens"])
    if request.get("windows"):
        answer["nll"] = mean_loss(model, request["windows"])
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


def mean_loss(model, windows):
    total, count = 0.0, 0
    for window in windows:
        ids = torch.tensor([window])
        logits = model(ids).logits[0, :-1].double()
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum"))
        count += len(window) - 1
    return total / count


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
