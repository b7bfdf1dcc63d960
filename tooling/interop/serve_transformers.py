#!/usr/bin/env python3
"""Runs checkpoints in transformers (CPU, float32 unless the request says otherwise): a request a line on stdin, an answer a line on stdout, as JSON.

Request: {"model": DIR, "ids": [...], "prompt": [...], "max_tokens": N, "windows": [[...], ...], "dtype": "float32"}
Answer:  {"logits": base64 of float32 [len(ids), vocabulary], "greedy": [...], "nll": mean over the windows' inner predictions}
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
    answer = {}
    if request.get("ids"):
        logits = model(torch.tensor([request["ids"]])).logits[0].to(torch.float32).contiguous()
        answer["logits"] = base64.b64encode(logits.numpy().tobytes()).decode()
    if request.get("prompt"):
        answer["greedy"] = greedy(model, request["prompt"], request["max_tokens"])
    if request.get("windows"):
        answer["nll"] = mean_loss(model, request["windows"])
    return answer


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


if __name__ == "__main__":
    main()
