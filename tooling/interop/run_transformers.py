#!/usr/bin/env python3
"""Runs a checkpoint in transformers (CPU, float32 unless the request says otherwise) and prints what it computes as JSON.

usage: run_transformers.py MODEL_DIR REQUEST.json

REQUEST: {"ids": [...], "prompt": [...], "max_tokens": N, "windows": [[...], ...], "dtype": "float32"}
Answer:  {"logits": base64 of float32 [len(ids), vocabulary], "greedy": [...], "nll": mean over the windows' inner predictions,
          "versions": {...}}
"""
import base64
import json
import sys

import torch
import transformers


def main(path, request_path):
    with open(request_path, encoding="utf-8") as file:
        request = json.load(file)
    torch.set_num_threads(2)
    model = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=getattr(torch, request.get("dtype", "float32")), local_files_only=True)
    model.eval()
    answer = {"versions": versions()}
    with torch.no_grad():
        if request.get("ids"):
            logits = model(torch.tensor([request["ids"]])).logits[0].to(torch.float32).contiguous()
            answer["logits"] = base64.b64encode(logits.numpy().tobytes()).decode()
        if request.get("prompt"):
            answer["greedy"] = greedy(model, request["prompt"], request["max_tokens"])
        if request.get("windows"):
            answer["nll"] = mean_loss(model, request["windows"])
    print()  # libraries print too: the answer is the last line
    json.dump(answer, sys.stdout)


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


def versions():
    import compressed_tensors

    return {"transformers": transformers.__version__, "torch": torch.__version__, "compressed-tensors": compressed_tensors.__version__}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: run_transformers.py MODEL_DIR REQUEST.json")
    main(*sys.argv[1:])
