"""What vLLM's pull request 56859 (SBW) marks and what its own detector says of it, on the CPU.

Run: python3 vllm_sbw.py FOLDER > vllm_sbw.json (torch 2.15; FOLDER has vllm/v1/watermarking/sbw.py and
vllm/config/watermarking.py of the pull request at commit d6d2f2c, and vllm/v1/watermarking/{detector,watermarker}.py of
vllm 0.33.0, which the pull request leaves alone. No release has sbw.py.)"""

import json
import random
import sys
import types

import torch

sys.path.append(sys.argv[1])
# Compiled and not, the functions say the same; compiling takes minutes.
torch.compile = lambda function, **_: function
gumbel = types.ModuleType("vllm.v1.worker.gpu.sample.gumbel")
gumbel.gumbel_sample = None
sys.modules[gumbel.__name__] = gumbel
from vllm.v1.watermarking.sbw import SBWWatermarkDetector, SBWWatermarker  # noqa: E402

COMMENT = [
    "Generator: sbw.py of vLLM's pull request 56859 at commit d6d2f2c, as vllm_sbw.py calls it on the CPU.",
    "output: the greatest biased logit at each step, the logits of step i being logit(i mod logit_period, id) as in "
    "vllm_gumbel.json, contexts the output's last ids after any number of -1. greens: the generator's green tokens at steps 0 "
    "to 5, from 0 to V - 1.",
    "detector: its answers for the sequence tokens, which is the output and then random ids. greens: one character a token, "
    "whether its context repeats or not. scored: contexts that are new. p_value: a normal tail.",
]
CASES = [
    # key, sbw_scheme, width, gamma, V, steps
    (42, "selfhash", 4, 0.5, 300, 60),
    (2**63 - 1, "selfhash", 1, 0.25, 203, 40),
    (0x123456789ABCDEF0, "selfhash", 9, 0.4, 128, 40),
    (9007199254740993, "selfhash", 2, 0.5, 97, 40),
    (42, "lefthash", 1, 0.5, 300, 60),
    (6148914691236517205, "lefthash", 3, 0.25, 203, 40),
]
PERIOD = 24


def logit(step, token):
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return (x >> 8) / 2**21


def flags(row):
    return "".join("1" if entry else "0" for entry in row)


def case(rng, key, scheme, width, gamma, vocab, steps):
    marker = SBWWatermarker(key, width, scheme, gamma, 2.0)
    output, greens = [], []
    for step in range(steps):
        context = torch.tensor([([-1] * width + output)[-width:]])
        logits = torch.tensor([[logit(step % PERIOD, token) for token in range(vocab)]], dtype=torch.float64)
        biased = marker.bias(logits, context, torch.tensor([2.0]))
        if step < 6:
            greens.append(flags((biased - logits)[0] > 1.0))
        output.append(int(biased[0].argmax()))
    tokens = output + [rng.randrange(vocab) for _ in range(30)]
    detector = SBWWatermarkDetector(key, width, scheme, gamma)
    padded = [-1] * width + tokens
    contexts = [tuple(padded[at : at + width]) for at in range(len(tokens))]
    scores = detector._score_tokens(torch.tensor(contexts), torch.tensor(tokens))
    found = detector.detect(tokens)
    scored = flags(context not in contexts[:at] for at, context in enumerate(contexts))
    return {
        "key": str(key), "sbw_scheme": scheme, "context_width": width, "sbw_gamma": gamma, "vocab_size": vocab,
        "logit_period": PERIOD, "output": output, "greens": greens, "tokens": tokens,
        "detector": {"greens": flags(scores.tolist()), "scored": scored, "score": found.score,
                     "num_scored_tokens": found.num_scored_tokens, "p_value": found.p_value},
    }


rng = random.Random(56859)
made = [case(rng, *parameters) for parameters in CASES]
print(json.dumps({"_comment": COMMENT, "cases": made}))
