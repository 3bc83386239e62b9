"""Golden vectors of MarkLLM's DiP.

    python dip.py CHECKOUT > dip.json

CHECKOUT: a copy of github.com/THU-BPM/MarkLLM at commit 876ccb9 (later ones lost the key's bytes). Needs torch, numpy,
transformers. Runs on the CPU.
"""

import hashlib
import json
import re
import sys
import tempfile
from types import SimpleNamespace

import numpy as np
import torch
import transformers

sys.path.insert(0, sys.argv[1])
from watermark.dip.dip import DIPConfig, DIPLogitsProcessor, DIPUtils

CASES = [
    # key, vocabulary, gamma, alpha, prefix length
    (42, 500, 0.5, 0.45, 5),
    (2**40 + 7, 320, 0.6, 0.5, 2),
    (0, 60, 0.5, 0.3, 1),
    (-15485863, 1000, 0.25, 0.45, 3),
]
LENGTH = 150


def logits(step, size):
    """A hash of step and token, spread over 0 to 8."""
    token = np.arange(size, dtype=np.uint64)
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return (x >> 8).astype(np.float32) / np.float32(2097152.0)


def case(number, key, size, gamma, alpha, prefix):
    settings = {"algorithm_name": "DIP", "gamma": gamma, "alpha": alpha, "key": key, "prefix_length": prefix, "z_threshold": 1.513,
                "ignore_history_generation": 0, "ignore_history_detection": 0}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(settings, file)
        file.flush()
        model = SimpleNamespace(model=None, tokenizer=None, vocab_size=size, device="cpu", gen_kwargs={})
        config = DIPConfig(file.name, model)
    utils = DIPUtils(config)
    processor = DIPLogitsProcessor(config, utils)
    rng = np.random.Generator(np.random.PCG64(200 + number))
    prompt = [int(x) for x in rng.integers(0, size, prefix + 1)]
    tokens, reweighted, marked = [], [], ""
    for step in range(LENGTH):
        row = torch.tensor(logits(step, size)).unsqueeze(0)
        after = processor(torch.tensor([prompt + tokens]), row.clone())[0]
        marked += "0" if torch.equal(after, row[0]) else "1"
        if step < 2:
            p = torch.softmax(after.double(), dim=0)
            reweighted.append([round(float(x), 9) for x in p])
        noise = -np.log(-np.log(rng.random(size)))
        tokens.append(int(np.argmax(after.numpy().astype(np.float64) + noise)))
    utils.cc_history.clear()
    utils.state_indicator = 1
    quantiles = utils._get_dip_score(torch.tensor(tokens), size)
    utils.cc_history.clear()
    z, flags = utils.score_sequence(torch.tensor(tokens))
    ranks = [None if q < 0 else round(float(q) * size) - 1 for q in quantiles]
    return {"key": str(key), "vocab_size": size, "gamma": gamma, "alpha": alpha, "prefix_length": prefix,
            "key_bytes_sha256": hashlib.sha256(config.hash_key).hexdigest(), "prompt": prompt, "tokens": tokens, "marked": marked,
            "reweighted": reweighted, "ranks": ranks, "flags": [int(x) for x in flags], "z": z}


result = {
    "comment": "DiPmark as in MarkLLM (github.com/THU-BPM/MarkLLM, commit 876ccb9), its own watermark/dip/dip.py on the CPU, by dip.py. tokens follow prompt; the logits of a step are a hash of step and token (see the script), the choice argmax of reweighted logits plus Gumbel noise. marked: 0 where the processor left the logits alone (a repeated context). reweighted: probabilities after the processor at steps 0 and 1. ranks: place in the permutation of each token, from the detector's quantiles of tokens without their prompt; null where the context occurred before; the first is the tool's 0 for no context. flags, z: score_sequence of the same, 1 for a green token, -1 for one left out.",
    "versions": {"torch": torch.__version__, "numpy": np.__version__, "transformers": transformers.__version__, "python": sys.version.split()[0]},
    "cases": [case(number, *it) for number, it in enumerate(CASES)],
}
text = json.dumps(result, indent=1)
# Lists of numbers on one line.
print(re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda found: "[" + re.sub(r"\s*\n\s*", " ", found.group(1)) + "]", text))
