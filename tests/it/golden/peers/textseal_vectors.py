"""What TextSeal says of sequences of ids, and which tokens it picks.

Run: python3 textseal_vectors.py > textseal.json (textseal 0.0.5 with --no-deps, torch 2.15, transformers 5.23, scipy)."""

import importlib.util
import json
import sys
import types
from pathlib import Path

import torch

# The packages' own __init__ files import models of text quality; what is run here needs none.
root = Path(importlib.util.find_spec("textseal").origin).parent
for name, folder in [("textseal", root), ("textseal.posthoc", root / "posthoc")]:
    module = types.ModuleType(name)
    module.__path__ = [str(folder)]
    sys.modules[name] = module

from textseal.common.watermark.core import WatermarkConfig
from textseal.common.watermark.pseudorandom import _hash, _M, _weighted_sum
from textseal.posthoc.detector import build_detector
from textseal.posthoc.generator import GumbelmaxGenerator

COMMENT = [
    "Generator: textseal 0.0.5 as textseal_vectors.py calls it, on the CPU.",
    "level[i]: hash mod 8191 of token i after the ngram tokens before it, for i >= ngram. mask: one character for each token "
    "from ngram + 1 on, 1 = scored (v1: new window, v2: new window and token, none: all). score: the scored tokens' scores; "
    "tool_p_value: the tool's own, for greenlist a mid-p.",
    "generation: logits of step i are logit(i, id) as in vllm_gumbel.json, temperature 1, top_p 1; context: the prompt's and "
    "the output's last ngram tokens. levels: the hash of tokens 0 to 7 at the first step.",
]


class Ids:
    """A tokenizer of texts that are ids already."""

    add_special_tokens = None
    vocab_size = 50257

    def encode(self, text, add_special_tokens=False):
        return [int(word) for word in text.split()]

    def decode(self, ids):
        return " ".join(map(str, ids))


def sequence(length, vocab):
    x, out = 12345, []
    for i in range(length):
        x = (x * 1103515245 + 12345) % 2**31
        out.append((x >> 8) % vocab)
    # A repeated stretch, and ends of the range.
    out[length // 2 : length // 2 + 12] = out[4:16]
    out[1], out[2] = 0, vocab - 1
    return out


def logit(step, token):
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return (x >> 8) / 2**21


def read(kind, ngram, key, vocab, scoring, length, gamma=0.5):
    config = WatermarkConfig(secret_key=key, ngram=ngram, watermark_type=kind, gamma=gamma)
    detector = build_detector(Ids(), config)
    ids = sequence(length, vocab)
    text = " ".join(map(str, ids))
    scores, masks = detector.get_scores_by_t(
        [text], scoring_method=scoring, return_aux=True, seen_windows=set() if scoring != "none" else None
    )
    windows = torch.tensor([ids[i - ngram : i] for i in range(ngram, length)])
    levels = _hash(_weighted_sum(windows), torch.tensor(ids[ngram:]), key, "cpu")
    assert _M == 8191
    return {
        "type": kind, "ngram": ngram, "key": str(key), "vocab_size": vocab, "scoring_method": scoring, "gamma": gamma,
        "tokens": ids, "level": [None] * ngram + levels.tolist(), "mask": "".join(map(str, masks[0])),
        "score": scores[0], "tool_p_value": float(detector.get_pvalues(scores)[0]),
    }


def write(ngram, key, vocab, prompt, steps):
    generator = object.__new__(GumbelmaxGenerator)
    generator.wm_args = WatermarkConfig(secret_key=key, ngram=ngram, method="uniform")
    tokens = list(prompt)
    for step in range(steps):
        logits = torch.tensor([[logit(step, token) for token in range(vocab)]], dtype=torch.float32)
        window = torch.tensor([tokens[-ngram:]])
        tokens.append(int(generator.sample_next(logits, window, temperature=1.0, top_p=1.0)[0]))
    first = torch.tensor([list(prompt)[-ngram:]] * 8)
    levels = _hash(_weighted_sum(first), torch.arange(8), key, "cpu")
    return {
        "ngram": ngram, "key": str(key), "vocab_size": vocab, "prompt": list(prompt), "levels": levels.tolist(),
        "output": tokens[len(prompt) :],
    }


cases = [
    read("gumbelmax", 1, 42, 50257, "v2", 80),
    read("gumbelmax", 3, 2**62 + 12345, 151936, "v1", 80),
    read("gumbelmax", 2, -7, 8192, "none", 60),
    read("greenlist", 1, 42, 50257, "v2", 80),
    read("greenlist", 10, 98765, 128256, "v1", 60, gamma=0.25),
]
generation = [write(1, 42, 500, [5], 40), write(3, 98765, 800, [5, 6, 7], 40)]
print(json.dumps({"_comment": COMMENT, "cases": cases, "generation": generation}))
