"""Golden vectors of Unigram-Watermark's own code.

    python unigram.py CHECKOUT > unigram.json

CHECKOUT: a copy of github.com/XuandongZhao/Unigram-Watermark (commit b96cdb4). Needs numpy, torch, transformers, scipy.
"""

import hashlib
import json
import re
import sys

import numpy as np
import scipy
import torch
import transformers

# The class of this name is gone since transformers 5; the tool's warper overrides all that it inherits.
transformers.LogitsWarper = transformers.LogitsProcessor
sys.path.insert(0, sys.argv[1])
from gptwm import GPTWatermarkBase, GPTWatermarkDetector, GPTWatermarkLogitsWarper

CASES = [(0, 50257, 0.5), (1, 50257, 0.5), (-7, 32000, 0.25), (15485863, 151936, 0.5), (2**62 + 12345, 1000, 0.3), (42, 257, 0.1), (3, 10, 0.7)]


def packed(flags):
    """Eight flags a byte, the first one highest, as hexadecimal digits."""
    return np.packbits(np.asarray(flags, dtype=np.uint8)).tobytes().hex()


def case(key, size, fraction):
    detector = GPTWatermarkDetector(fraction=fraction, strength=2.0, vocab_size=size, watermark_key=key)
    mask = detector.green_list_mask.numpy().astype(np.uint8)
    rng = np.random.Generator(np.random.PCG64(5))
    ids = [int(x) for x in np.minimum(rng.geometric(min(0.5, 40 / size), 120) - 1, size - 1)]
    # Half of the text drawn from the list, so that the scores are not all near zero.
    greens = np.nonzero(mask)[0]
    for place in range(0, 120, 2):
        ids[place] = int(greens[int(rng.integers(len(greens)))])
    warper = GPTWatermarkLogitsWarper(fraction=fraction, strength=2.0, vocab_size=size, watermark_key=key)
    logits = torch.linspace(-3, 3, size).unsqueeze(0)
    biased = warper(torch.tensor([[0]]), logits)[0]
    return {
        "key": str(key),
        "vocab_size": size,
        "fraction": fraction,
        "seed": GPTWatermarkBase._hash_fn(key),
        "greens": int(mask.sum()),
        "first": "".join(map(str, mask[:64])),
        "mask_sha256": hashlib.sha256(mask.tobytes()).hexdigest(),
        "mask": packed(mask) if size <= 1000 else None,
        "tokens": ids,
        "distinct": len(set(ids)),
        "distinct_greens": int(sum(mask[i] for i in set(ids))),
        "z": float(detector.detect(ids)),
        "z_distinct": float(detector.unidetect(ids)),
        "above_threshold": bool(detector.dynamic_threshold(ids, 1e-3, size)[0]),
        "biased_first": [float(x) for x in biased[:16]],
        "logits_first": [float(x) for x in logits[0][:16]],
    }


result = {
    "comment": "Unigram-Watermark (github.com/XuandongZhao/Unigram-Watermark, commit b96cdb4), its own gptwm.py, by unigram.py. key: a signed 64-bit number. first: the first 64 entries of the green list's mask; mask_sha256: SHA-256 of the mask as V bytes; mask: all of it, eight a byte, the first highest. z, z_distinct: detect and unidetect of tokens; above_threshold: dynamic_threshold at 1e-3. biased_first: the first 16 of V logits from -3 to 3 after the warper.",
    "versions": {"numpy": np.__version__, "torch": torch.__version__, "transformers": transformers.__version__, "scipy": scipy.__version__},
    "cases": [case(*it) for it in CASES],
}
text = json.dumps(result, indent=1)
# Lists of numbers on one line.
print(re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda found: "[" + re.sub(r"\s*\n\s*", " ", found.group(1)) + "]", text))
