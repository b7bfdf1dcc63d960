"""Measures a trained model with transformers in float32 and writes reference.json.

Copies calibration.jsonl and held-out.jsonl beside the model as well, so that
the directory is complete. Other runtimes are tested against the numbers.
"""

import argparse
import json
import math
import shutil
from pathlib import Path

import torch
import transformers
from transformers import AutoModelForCausalLM, AutoTokenizer

WINDOW = 256
NEW_TOKENS = 48
PROMPTS = ["The people of the United States", "It was a fine morning, and the captain"]
SAMPLE = {"temperature": 0.8, "top_k": 40, "seed": 1, "tokens": 120}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("work", type=Path, help="the work folder that prepare-text.mjs filled")
    parser.add_argument("model", type=Path, help="the model directory to measure and complete")
    parser.add_argument("--sample", action="store_true", help="also print text sampled at temperature 0.8")
    options = parser.parse_args()
    torch.set_num_threads(2)
    for name in ("calibration.jsonl", "held-out.jsonl"):
        shutil.copyfile(options.work / name, options.model / name)
    tokenizer = AutoTokenizer.from_pretrained(options.model)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    with open(options.model / "held-out.jsonl", encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    reference = {
        "document": document_perplexity(model, tokenizer, texts),
        "gptq": gptq_perplexity(model, tokenizer, texts),
        "greedy": [greedy(model, tokenizer, prompt) for prompt in PROMPTS],
        "made_with": f"transformers {transformers.__version__}, torch {torch.__version__.split('+')[0]}",
    }
    text = json.dumps(reference, indent=2, ensure_ascii=False) + "\n"
    (options.model / "reference.json").write_text(text, encoding="utf-8")
    print(text)
    if options.sample:
        for prompt in PROMPTS:
            print(sample(model, tokenizer, prompt), end="\n\n")


def document_perplexity(model, tokenizer, texts):
    """Each document alone, <s> first, cut at 256 tokens; mean over all predictions."""
    total = count = 0
    for text in texts:
        ids = tokenizer(text, return_tensors="pt", verbose=False).input_ids[:, :WINDOW]
        loss, predictions = window_loss(model, ids)
        total, count = total + loss, count + predictions
    return {"perplexity": math.exp(total / count), "tokens": count}


def gptq_perplexity(model, tokenizer, texts):
    """All documents in one stream, windows of 256 without overlap, the tail dropped."""
    ids = tokenizer("\n\n".join(texts), return_tensors="pt", verbose=False).input_ids
    windows = ids.shape[1] // WINDOW
    total = count = 0
    for index in range(windows):
        loss, predictions = window_loss(model, ids[:, index * WINDOW : (index + 1) * WINDOW])
        total, count = total + loss, count + predictions
    return {"perplexity": math.exp(total / count), "windows": windows, "tokens": count}


@torch.no_grad()
def window_loss(model, ids):
    """The summed negative log-likelihood of a window's inner predictions, and their number."""
    logits = model(input_ids=ids).logits[0, :-1].double()
    loss = torch.nn.functional.cross_entropy(logits, ids[0, 1:], reduction="sum")
    return loss.item(), ids.shape[1] - 1


def greedy(model, tokenizer, prompt):
    """48 tokens after the prompt; `text` and `ids` are the continuation alone."""
    ids = generate(model, tokenizer, prompt, do_sample=False, max_new_tokens=NEW_TOKENS)
    return {"prompt": prompt, "text": tokenizer.decode(ids, skip_special_tokens=True), "ids": ids}


def sample(model, tokenizer, prompt):
    torch.manual_seed(SAMPLE["seed"])
    ids = generate(
        model,
        tokenizer,
        prompt,
        do_sample=True,
        temperature=SAMPLE["temperature"],
        top_k=SAMPLE["top_k"],
        max_new_tokens=SAMPLE["tokens"],
    )
    return prompt + tokenizer.decode(ids, skip_special_tokens=True)


@torch.no_grad()
def generate(model, tokenizer, prompt, **settings):
    inputs = tokenizer(prompt, return_tensors="pt")
    out = model.generate(
        input_ids=inputs.input_ids,
        attention_mask=inputs.attention_mask,
        pad_token_id=tokenizer.eos_token_id,
        **settings,
    )
    return out[0, inputs.input_ids.shape[1] :].tolist()


if __name__ == "__main__":
    main()
