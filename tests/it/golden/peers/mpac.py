"""Golden vectors of MPAC's own code.

    python mpac.py CHECKOUT > mpac.json

CHECKOUT: `watermark_reliability_release` of a copy of github.com/bangawayoo/mb-lm-watermarking (commit 0791102). Needs torch,
numpy, scipy, transformers. Runs on the CPU.
"""

import contextlib
import json
import re
import sys

import numpy as np
import scipy
import torch
import transformers

sys.path.insert(0, sys.argv[1])
with contextlib.redirect_stdout(sys.stderr):
    from mb_watermark_processor import WatermarkDetector, WatermarkLogitsProcessor

SIZE = 2000
LENGTH = 220
CASES = [
    # seeding scheme, own seed for positions, gamma, base, message, delta
    ("lefthash", False, 0.25, 4, "10011100010110100000111111000011", 4.0),
    ("lefthash", True, 0.25, 4, "10011100010110100000111111000011", 4.0),
    ("ff-minhash_prf-4-False-15485863", True, 0.25, 4, "01110001011010110000111111000101", 4.0),
    ("ff-minhash_prf-3-False-987654321", False, 0.3, 3, "10011100010110100000111111000011", 4.0),
    ("selfhash", True, 0.25, 4, "11111100010110100000111111000001", 4.0),
    ("ff-anchored_minhash_prf-3-True-35317", False, 0.5, 2, "1001110001011010", 3.0),
    ("selfhash", True, 0.25, 4, "10011100", 4.0),
]


def logits(step):
    """A hash of step and token, spread over 0 to 8."""
    token = np.arange(SIZE, dtype=np.uint64)
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return (x >> 8).astype(np.float32) / np.float32(2097152.0)


class NoTokenizer:
    bos_token_id = -1


def case(number, scheme, own, gamma, base, message, delta):
    settings = dict(vocab=list(range(SIZE)), gamma=gamma, delta=delta, seeding_scheme=scheme, base=base,
                    message_length=len(message), code_length=len(message), use_position_prf=own, device="cpu")
    processor = WatermarkLogitsProcessor(**settings)
    processor.set_message(message)
    rng = np.random.Generator(np.random.PCG64(100 + number))
    prompt = [int(x) for x in rng.integers(1, SIZE, 6)]
    tokens, biased = [], []
    for step in range(LENGTH):
        row = torch.tensor(logits(step)).unsqueeze(0)
        before = row.clone()
        marked = processor(torch.tensor([prompt + tokens]), row)[0]
        if step < 3:
            biased.append([int(x) for x in torch.nonzero(marked != before[0]).flatten()])
        noise = -np.log(-np.log(rng.random(SIZE)))
        tokens.append(int(np.argmax(marked.numpy() + noise)))
    detector = WatermarkDetector(**{**settings, "device": torch.device("cpu")}, tokenizer=NoTokenizer(), normalizers=[])
    width = detector.context_width - detector.self_salt
    slots, colours = [], []
    for place, token in enumerate(tokens):
        # All ids before the token that the generator could read: the list's and the position's.
        text = prompt + tokens[:place]
        prefix = text[len(text) - max(width, 2 - detector.self_salt):] + ([token] if detector.self_salt else [])
        flags, slot = detector._get_ngram_score_cached(tuple(prefix), token)
        slots.append(slot - 1)
        colours.append(flags.index(True) if True in flags else None)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            found = detector._score_sequence(torch.tensor(tokens), message=message)
        tool = {key: found[key] for key in ("pred_message", "z_score", "p_value", "num_tokens_scored", "bit_acc")}
        tool["num_green_tokens"] = int(found["num_green_tokens"])
    except IndexError as error:
        tool = {"error": f"IndexError: {error}"}
    return {
        "seeding_scheme": scheme, "use_position_prf": own, "gamma": gamma, "delta": delta, "base": base, "message": message,
        "key": str(detector.hash_key), "vocab_size": SIZE, "context_width": detector.context_width, "self_salt": detector.self_salt,
        "converted_message": processor.converted_message, "prompt": prompt, "tokens": tokens,
        "positions": None if detector.self_salt else [slot - 1 for slot in processor.bit_position_list],
        "slots": slots, "colours": colours, "biased": biased, "tool": tool,
    }


torch.manual_seed(0)
result = {
    "comment": "MPAC (github.com/bangawayoo/mb-lm-watermarking, commit 0791102), its own mb_watermark_processor.py on the CPU, by mpac.py. tokens follow prompt; the logits of a step are a hash of step and token (see the script), the choice argmax of marked logits plus Gumbel noise. positions: digit (from 0) that the processor wrote at each step. slots, colours: digit and colour of each token, from the detector's _get_ngram_score_cached when it is given as many ids as the processor reads; null where the colour stands for no digit. biased: ids whose logits the processor raised at steps 0 to 2. tool: what the detector says of tokens without their prompt, reading as many ids as it does; an error where it stops with one.",
    "versions": {"torch": torch.__version__, "numpy": np.__version__, "scipy": scipy.__version__, "transformers": transformers.__version__, "python": sys.version.split()[0]},
    "cases": [case(number, *it) for number, it in enumerate(CASES)],
}
text = json.dumps(result, indent=1)
# Lists of numbers on one line.
print(re.sub(r"\[\s+([^\[\]{}]*?)\s+\]", lambda found: "[" + re.sub(r"\s*\n\s*", " ", found.group(1)) + "]", text))
