"""Decodes greedily with transformers and prints tokens a second as JSON.

Run: python transformers_decode.py FOLDER THREADS BATCH PROMPT TOKENS
"""

import json
import resource
import sys
import time

import torch
import transformers

folder, threads, batch, prompt, tokens = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
began = time.perf_counter()
model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
loaded = time.perf_counter() - began
with torch.inference_mode():
    ids = torch.arange(batch * prompt).reshape(batch, prompt) % 1000
    out = model(ids, use_cache=True)
    began = time.perf_counter()
    for _ in range(tokens):
        ids = out.logits[:, -1:].argmax(-1)
        out = model(ids, past_key_values=out.past_key_values, use_cache=True)
    seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps({"tokens_per_s": batch * tokens / seconds, "load_s": loaded, "peak_mib": peak}))
