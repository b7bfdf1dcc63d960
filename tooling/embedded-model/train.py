"""Trains the embedded model: a tokenizer of 2048 entries and a 2.4 M-parameter Llama.

Reads train.jsonl (and held-out.jsonl, only to report progress) as written by
prepare-text.mjs, trains for a given wall-clock time or number of steps and
writes a Hugging Face model directory. Then run evaluate.py.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from llama import Llama, Muon, Shape

SPECIAL = ["<unk>", "<s>", "</s>"]
BOS, EOS = 1, 2


def main():
    options = parse_options()
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    options.out.mkdir(parents=True, exist_ok=True)
    texts = read_texts(options.work / "train.jsonl")
    tokenizer = train_tokenizer(texts)
    documents = encode(tokenizer, texts)
    held_out = encode(tokenizer, read_texts(options.work / "held-out.jsonl"))
    print(f"{len(documents)} documents, {sum(map(len, documents))} tokens", flush=True)
    model = train(options, documents, held_out)
    write_model(options.out, tokenizer, model)


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("work", type=Path, help="the work folder that prepare-text.mjs filled")
    parser.add_argument("out", type=Path, help="the model directory to write")
    parser.add_argument("--minutes", type=float, default=45, help="length of training; sets the step count")
    parser.add_argument("--steps", type=int, help="an exact number of steps instead of --minutes")
    parser.add_argument("--batch", type=int, default=16, help="windows of 256 tokens per step")
    parser.add_argument("--muon-lr", type=float, default=0.02, help="peak rate for matrices")
    parser.add_argument("--adam-lr", type=float, default=0.004, help="peak rate for embeddings and norms")
    parser.add_argument("--weight-decay", type=float, default=0.05, help="for the matrices")
    parser.add_argument("--warmup", type=float, default=0.02, help="part of the steps")
    parser.add_argument("--decay-from", type=float, default=0.3, help="part of the steps after which the rate falls")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--float32", action="store_true", help="no bf16 autocast")
    parser.add_argument("--compile", action="store_true", help="use torch.compile")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=17)
    return parser.parse_args()


def read_texts(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["text"] for line in lines]


def train_tokenizer(texts):
    """Byte-level BPE with the post-processor that puts <s> first."""
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=Shape.vocab_size,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s>:1 $B:1", special_tokens=[("<s>", BOS)]
    )
    assert tokenizer.get_vocab_size() == Shape.vocab_size
    return tokenizer


def encode(tokenizer, texts):
    """Each text as an array of ids; the post-processor adds <s>, and </s> ends it."""
    return [np.array([*one.ids, EOS], dtype=np.int64) for one in tokenizer.encode_batch(texts)]


def batches(documents, options):
    """Endless batches of packed windows: each epoch shuffles the documents,
    joins them and cuts the stream at another offset."""
    shuffle = random.Random(options.seed)
    length = Shape.context + 1
    pending, rest = [], np.empty(0, dtype=np.int64)
    while True:
        order = list(documents)
        shuffle.shuffle(order)
        stream = np.concatenate([rest, *order])
        windows = len(stream) // length
        rest = stream[windows * length :]
        cut = stream[: windows * length].reshape(windows, length)
        pending.extend(cut[shuffle.sample(range(windows), windows)])
        while len(pending) >= options.batch:
            rows = torch.from_numpy(np.stack(pending[: options.batch])).to(options.device)
            del pending[: options.batch]
            yield rows[:, :-1], rows[:, 1:]


def optimisers(model, options):
    """Muon for the matrices inside the layers, AdamW for the rest."""
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.dim() == 2 and "embed" not in name]
    others = [p for name, p in named if p.dim() != 2 or "embed" in name]
    muon = Muon(matrices, lr=options.muon_lr, weight_decay=options.weight_decay)
    adam = torch.optim.AdamW(others, lr=options.adam_lr, betas=(0.9, 0.98), weight_decay=0.0)
    return [muon, adam]


def rate(done, options):
    """The part of the peak rate once the part `done` of the training is over."""
    if done < options.warmup:
        return max(done, 0.001) / options.warmup
    return min(1.0, (1 - done) / (1 - options.decay_from))


def train(options, documents, held_out):
    model = Llama(Shape()).to(options.device)
    forward = torch.compile(model) if options.compile else model
    opts = optimisers(model, options)
    peaks = [opt.param_groups[0]["lr"] for opt in opts]
    stream = batches(documents, options)
    begun, seen, step, smooth = None, 0, 0, None
    while True:
        if step == 3:  # the first steps compile and warm the allocator up
            begun, seen = time.monotonic(), 0
        spent = time.monotonic() - begun if begun else 0.0
        done = step / options.steps if options.steps else spent / (60 * options.minutes)
        if done >= 1:
            break
        ids, targets = next(stream)
        with torch.autocast(options.device, torch.bfloat16, enabled=not options.float32):
            loss = forward(ids, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for opt, peak in zip(opts, peaks):
            opt.param_groups[0]["lr"] = peak * rate(done, options)
            opt.step()
        model.zero_grad(set_to_none=True)
        step, seen = step + 1, seen + ids.numel()
        smooth = loss.item() if smooth is None else 0.98 * smooth + 0.02 * loss.item()
        if step % 100 == 0:
            print(f"step {step} done {done:.3f} loss {smooth:.3f} tokens/s {seen / (spent + 1e-9):.0f}", flush=True)
        if step % 1000 == 0:
            print(f"step {step} held-out loss {held_out_loss(model, held_out):.4f}", flush=True)
    print(f"{step} steps, {step * options.batch * Shape.context} tokens, {spent / 60:.1f} minutes")
    print(f"held-out loss {held_out_loss(model, held_out):.4f}", flush=True)
    return model


@torch.no_grad()
def held_out_loss(model, documents):
    """Mean loss over the first 256 tokens of each document."""
    total = count = 0
    for document in documents:
        ids = torch.from_numpy(document[: Shape.context]).to(next(model.parameters()).device)
        total += model(ids[None, :-1], ids[None, 1:]).item() * (len(ids) - 1)
        count += len(ids) - 1
    return total / count


def write_model(out, tokenizer, model):
    shape = Shape()
    tensors = {name: p.detach().to("cpu", torch.bfloat16).contiguous() for name, p in model.named_parameters()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    tokenizer.save(str(out / "tokenizer.json"))
    write_json(
        out / "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": BOS,
            "eos_token_id": EOS,
            "head_dim": shape.head_dim,
            "hidden_act": "silu",
            "hidden_size": shape.hidden_size,
            "initializer_range": 0.02,
            "intermediate_size": shape.intermediate_size,
            "max_position_embeddings": shape.context,
            "mlp_bias": False,
            "model_type": "llama",
            "num_attention_heads": shape.num_attention_heads,
            "num_hidden_layers": shape.num_hidden_layers,
            "num_key_value_heads": shape.num_key_value_heads,
            "pretraining_tp": 1,
            "rms_norm_eps": shape.rms_norm_eps,
            "rope_scaling": None,
            "rope_theta": shape.rope_theta,
            "tie_word_embeddings": True,
            "torch_dtype": "bfloat16",
            "use_cache": True,
            "vocab_size": shape.vocab_size,
        },
    )
    write_json(out / "generation_config.json", {"bos_token_id": BOS, "eos_token_id": EOS, "do_sample": False})
    write_json(
        out / "tokenizer_config.json",
        {
            "add_bos_token": True,
            "add_eos_token": False,
            "bos_token": "<s>",
            "clean_up_tokenization_spaces": False,
            "eos_token": "</s>",
            "model_max_length": shape.context,
            "tokenizer_class": "PreTrainedTokenizerFast",
            "unk_token": "<unk>",
        },
    )


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
