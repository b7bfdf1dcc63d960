"""GPTQ of a model by llm-compressor, and what it took: python llm-compressor-gptq.py MODEL OUTPUT TEXT [THREADS]. Needs llmcompressor 0.14."""

import resource
import sys
import time

import torch
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from datasets import Dataset
from llmcompressor import oneshot
from llmcompressor.modifiers.gptq import GPTQModifier
from transformers import AutoModelForCausalLM, AutoTokenizer

samples, length = 128, 512
source, output, text = sys.argv[1:4]
torch.set_num_threads(int(sys.argv[4]) if len(sys.argv) > 4 else 1)

model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
tokenizer = AutoTokenizer.from_pretrained(source)
with open(text) as file:
    ids = tokenizer(file.read(), add_special_tokens=False)["input_ids"][: samples * length]
windows = [ids[i * length : (i + 1) * length] for i in range(samples)]
dataset = Dataset.from_dict({"input_ids": windows, "attention_mask": [[1] * length] * samples})
weights = QuantizationArgs(num_bits=4, type="int", symmetric=False, strategy="group", group_size=64, actorder="static")
recipe = GPTQModifier(config_groups={"all": QuantizationScheme(targets=["Linear"], weights=weights)}, ignore=["lm_head"])

started = time.time()
oneshot(
    model=model,
    dataset=dataset,
    recipe=recipe,
    max_seq_length=length,
    num_calibration_samples=samples,
    shuffle_calibration_samples=False,
)
model.save_pretrained(output, save_compressed=True)
tokenizer.save_pretrained(output)
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"{used.ru_utime + used.ru_stime:.0f} s of CPU time, {time.time() - started:.0f} s, peak {used.ru_maxrss / 1024:.0f} MB")
