"""Tiny random models of every architecture and their logits by transformers (CPU, float32).

Writes one folder per case beside this script: config.json, model.safetensors and golden.json (token ids and logits).
`--check` writes nothing: it makes everything again in memory and fails when a committed file differs.

Made with torch 2.13 and transformers 5.23. Weights are drawn by numpy, whose generator is stable, so that only the
logits depend on the versions of torch and transformers.
"""

import argparse
import json
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save
from transformers import AutoModelForCausalLM, CONFIG_MAPPING

TOKENS = 24
VOCABULARY = 64
ROPE = {"rope_type": "default", "rope_theta": 10000.0}
DECODER = dict(vocab_size=VOCABULARY, hidden_size=32, intermediate_size=45, num_hidden_layers=2, num_attention_heads=4,
               num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-5, bos_token_id=1, eos_token_id=2, pad_token_id=0)

CASES = {
    "llama": ("llama", dict(DECODER, rope_parameters=ROPE, attention_bias=True, mlp_bias=True, tie_word_embeddings=False)),
    "llama3-rope": ("llama", dict(DECODER, head_dim=16, num_key_value_heads=4, tie_word_embeddings=True, rope_parameters={
        "rope_type": "llama3", "rope_theta": 500.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64})),
    "llama-linear-rope": ("llama", dict(DECODER, tie_word_embeddings=True, rope_parameters={
        "rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0})),
    "mistral": ("mistral", dict(DECODER, head_dim=10, sliding_window=7, rope_parameters=ROPE, tie_word_embeddings=False)),
    "qwen2": ("qwen2", dict(DECODER, num_hidden_layers=3, use_sliding_window=True, sliding_window=6, max_window_layers=1,
                            rope_parameters={"rope_type": "default", "rope_theta": 1000.0}, tie_word_embeddings=True)),
    "qwen3": ("qwen3", dict(DECODER, head_dim=12, rope_parameters=ROPE, tie_word_embeddings=False)),
    "gemma2": ("gemma2", dict(DECODER, head_dim=10, num_hidden_layers=3, sliding_window=5, query_pre_attn_scalar=13,
                              attn_logit_softcapping=2.0, final_logit_softcapping=3.0, rope_parameters=ROPE)),
    "gpt2": ("gpt2", dict(vocab_size=VOCABULARY, n_embd=36, n_layer=2, n_head=3, n_inner=50, n_positions=64,
                          bos_token_id=1, eos_token_id=2)),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    torch.use_deterministic_algorithms(True)
    failures = []
    for name, (model_type, options) in CASES.items():
        folder = Path(__file__).parent / name
        config, tensors, golden = make_case(name, model_type, options)
        if check:
            failures += [f"{name}: {what}" for what in compare(folder, config, tensors, golden)]
            continue
        folder.mkdir(exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
        (folder / "model.safetensors").write_bytes(save(tensors, metadata={"format": "pt"}))
        (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"{len(CASES)} cases, {len(failures)} differences" if check else f"{len(CASES)} cases written")
    sys.exit(1 if failures else 0)


def make_case(name, model_type, options):
    draw = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    config = CONFIG_MAPPING[model_type](**options)
    config.architectures = [type(AutoModelForCausalLM.from_config(config)).__name__]
    # eager: the other attention paths leave out Gemma 2's softcap
    model = AutoModelForCausalLM.from_config(config, attn_implementation="eager", dtype=torch.float32).eval()
    tensors = {}
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            values = random_values(key, tuple(parameter.shape), draw)
            parameter.copy_(torch.from_numpy(values))
            tensors[key] = values
        ids = draw.integers(0, VOCABULARY, TOKENS)
        logits = model(torch.from_numpy(ids)[None]).logits[0].numpy()
    written = {key: value for key, value in config.to_dict().items() if key != "transformers_version"}
    golden = {"tokens": ids.tolist(), "logits": [[float(f"{value:.8g}") for value in row] for row in logits]}
    return written, tensors, golden


def random_values(key, shape, draw):
    """Norm gains around their neutral value, biases that matter, weights that keep activations of order one."""
    values = draw.standard_normal(shape)
    if len(shape) == 1:
        values = values * 0.3 + (0.0 if key.endswith("bias") else 1.0)
    elif "embed" in key or "wte" in key or "wpe" in key:
        values = values * 0.5
    else:
        values = values * 1.5 / np.sqrt(shape[-1])
    return values.astype(np.float32)


def compare(folder, config, tensors, golden):
    if json.loads((folder / "config.json").read_text()) != json.loads(json.dumps(config)):
        yield "config.json differs"
    stored = load_file(folder / "model.safetensors")
    if stored.keys() != tensors.keys() or any(not np.array_equal(stored[key], tensors[key]) for key in tensors):
        yield "model.safetensors differs"
    expected = json.loads((folder / "golden.json").read_text())
    if expected["tokens"] != golden["tokens"]:
        yield "tokens differ"
    a, b = np.array(expected["logits"]), np.array(golden["logits"])
    error = np.linalg.norm(a - b) / np.linalg.norm(b)
    if not error < 1e-5:
        yield f"logits differ by {error:.2e} (relative L2)"


if __name__ == "__main__":
    main()
