"""Golden vectors of Kuditipudi's code.

    python kuditipudi.py CHECKOUT > kuditipudi.json

CHECKOUT: a copy of github.com/jthickstun/watermark (commit 80d4ec8). Needs torch, numpy, scipy, Cython and a C compiler.
"""

import json
import re
import sys

import numpy as np
import torch

sys.path.insert(0, sys.argv[1])
sys.path.insert(0, sys.argv[1] + "/demo")
from mersenne import mersenne_rng
from watermarking.detection import phi
from watermarking.gumbel.key import gumbel_key_func
from watermarking.gumbel.sampler import gumbel_sampling
from watermarking.gumbel.score import gumbel_edit_score, gumbel_score
from watermarking.transform.key import transform_key_func
from watermarking.transform.sampler import transform_sampling
from watermarking.transform.score import transform_edit_score, transform_score

SIZE = 60


def logits(step):
    """A hash of step and token, spread over 0 to 8."""
    token = np.arange(SIZE, dtype=np.uint64)
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return (x >> 8).astype(np.float32) / np.float32(2097152.0)


def marked(method, key, n, m, offset):
    func, sampler = (gumbel_key_func, gumbel_sampling) if method == "gumbel" else (transform_key_func, transform_sampling)
    generator = torch.Generator()
    generator.manual_seed(key)
    xi, pi = func(generator, n, SIZE)
    tokens = []
    for step in range(m):
        probs = torch.softmax(torch.tensor(logits(step)), dim=0).unsqueeze(0)
        tokens.append(int(sampler(probs, pi.unsqueeze(0), xi[(offset + step) % n].unsqueeze(0))[0, 0]))
    return tokens


def statistic(method, key, n, k, gap, tokens):
    generator = torch.Generator()
    generator.manual_seed(key)
    if method == "gumbel":
        dist = gumbel_score if gap is None else (lambda x, y: torch.tensor(gumbel_edit_score(x, y, gap)))
        func, normalize = gumbel_key_func, False
    else:
        dist = transform_score if gap is None else (lambda x, y: torch.tensor(transform_edit_score(x, y, gap)))
        func, normalize = transform_key_func, True
    return float(phi(torch.tensor(tokens), n, k, generator, func, SIZE, dist, null=False, normalize=normalize))


def case(method, key, n, m, k, gap, offset):
    tokens = marked(method, key, n, m, offset)
    shuffled = [int(x) for x in np.random.Generator(np.random.PCG64(key % 1000)).permutation(tokens)]
    return {"method": method, "key": str(key), "n": n, "k": k, "gap": gap, "offset": offset, "vocab_size": SIZE, "tokens": tokens,
            "statistic": statistic(method, key, n, k, gap, tokens), "shuffled": shuffled,
            "statistic_shuffled": statistic(method, key, n, k, gap, shuffled)}


CASES = [
    ("gumbel", 42, 20, 30, 12, None, 0),
    ("gumbel", 123456789, 16, 40, 40, None, 5),
    ("gumbel", 2**33 + 9, 12, 24, 8, 0.0, 3),
    ("gumbel", 7, 12, 20, 6, 0.4, 0),
    ("transform", 42, 20, 30, 12, None, 0),
    ("transform", 99, 12, 24, 8, 0.1, 4),
]
rng = mersenne_rng(42)
result = {
    "comment": "Kuditipudi et al. (github.com/jthickstun/watermark, commit 80d4ec8), its own watermarking package on the CPU, by kuditipudi.py. tokens: chosen by its samplers from softmaxes of a hash of step and token (see the script), beginning at row offset. statistic: its phi (smaller is stronger) with blocks of k tokens and, if gap is a number, its Levenshtein cost; shuffled, statistic_shuffled: the same tokens in another order. demo: the first 40 numbers of demo/mersenne.py under key 42.",
    "versions": {"torch": torch.__version__, "numpy": np.__version__},
    "demo": [rng.rand() for _ in range(40)],
    "cases": [case(*it) for it in CASES],
}
text = json.dumps(result, indent=1)
# Lists of numbers on one line.
print(re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda found: "[" + re.sub(r"\s*\n\s*", " ", found.group(1)) + "]", text))
