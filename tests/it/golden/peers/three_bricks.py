"""What three_bricks picks and what its own detectors say, on the CPU.

Run: python3 three_bricks.py FOLDER > three_bricks.json (torch 2.15, transformers 5.23, scipy; FOLDER is a checkout of
github.com/facebookresearch/three_bricks at commit ee9c7a2, whose wm/generator.py and wm/detector.py are run; a table of logits
stands in for the model)."""

import importlib
import json
import random
import sys
import types
from types import SimpleNamespace

import torch

package = types.ModuleType("wm")
package.__path__ = [sys.argv[1] + "/wm"]
sys.modules["wm"] = package
generators, detectors = (importlib.import_module("wm." + name) for name in ["generator", "detector"])

COMMENT = [
    "Generator: three_bricks at commit ee9c7a2, its own wm/generator.py and wm/detector.py on the CPU, as three_bricks.py "
    "calls them, seeding hash.",
    "output: its choice at each step, the logits of step i being logit(i, id) as in vllm_gumbel.json: openai at temperature 1 "
    "and top_p 1, maryland (delta 4) the greatest biased logit. contexts: the prompt's and the output's last ngram ids.",
    "tokens: the output and then random ids. scores: of the detector for the payload, from token ngram + 1 on, with "
    "scoring_method v2 only those of new (context, token). p: the detector's p-value for the payload.",
]
CASES = [
    # method, ngram, seed, salt_key, gamma, payload, V, prompt, steps, scoring_method
    ("openai", 4, 0, 35317, 0.25, 0, 500, [5, 7, 11, 13], 40, "v2"),
    ("openai", 1, 42, 35317, 0.25, 17, 1201, [9], 40, "none"),
    ("openai", 2, 2**63 + 99, 7, 0.25, 128, 997, [3, 996], 30, "v2"),
    ("maryland", 4, 0, 35317, 0.25, 0, 500, [5, 7, 11, 13], 40, "v2"),
    ("maryland", 1, 42, 35317, 0.5, 17, 1201, [9], 40, "none"),
    ("maryland", 3, 2**64 - 2, 35317, 0.1, 3, 997, [3, 996, 8], 30, "v2"),
]


def logit(step, token):
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return (x >> 8) / 2**21


class Ids(SimpleNamespace):
    """A tokenizer of texts that are ids already."""

    def encode(self, text, add_special_tokens=False):
        return [int(word) for word in text.split()]


def case(rng, method, ngram, seed, salt, gamma, payload, vocab, prompt, steps, scoring):
    tokenizer = Ids(vocab_size=vocab)
    config = SimpleNamespace(max_sequence_length=1024, pad_token_id=-1, eos_token_id=-1)
    model = SimpleNamespace(config=config, device="cpu")
    lists = {"gamma": gamma, "delta": 4.0} if method == "maryland" else {}
    make = {"openai": generators.OpenaiGenerator, "maryland": generators.MarylandGenerator}[method]
    generator = make(model, tokenizer, ngram, seed, "hash", salt, payload, **lists)
    tokens = list(prompt)
    for step in range(steps):
        logits = torch.tensor([[logit(step, token) for token in range(vocab)]], dtype=torch.float32)
        window = torch.tensor([tokens[-ngram:]])
        temperature = 1.0 if method == "openai" else 0.0
        tokens.append(int(generator.sample_next(logits, window, temperature=temperature, top_p=1.0)[0]))
    output = tokens[len(prompt) :]
    tokens = output + output[3 : 3 + 2 * ngram + 3] + [rng.randrange(vocab) for _ in range(25)]
    read = {"openai": detectors.OpenaiDetector, "maryland": detectors.MarylandDetector}[method]
    detector = read(tokenizer, ngram, seed, "hash", salt, **lists)
    scores = detector.get_scores_by_t([" ".join(map(str, tokens))], scoring_method=scoring, payload_max=payload)
    return {
        "method": method, "ngram": ngram, "seed": str(seed), "salt_key": salt, "gamma": gamma, "payload": payload,
        "vocab_size": vocab, "prompt": prompt, "output": output, "tokens": tokens, "scoring_method": scoring,
        "scores": [round(float(score[payload]), 6) for score in scores[0]],
        "p": float(detector.get_pvalues(scores)[0][payload]),
    }


rng = random.Random(35317)
made = [case(rng, *parameters) for parameters in CASES]
print(json.dumps({"_comment": COMMENT, "cases": made}))
