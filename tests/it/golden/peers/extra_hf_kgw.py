"""Sequences read by transformers' WatermarkDetector with keys, widths, ratios and vocabularies that hf_kgw.json lacks.

Run: python3 extra_hf_kgw.py > extra_hf_kgw.json (transformers 5.23, torch 2.15, on the CPU)."""

import json
import random

import torch
import transformers

COMMENT = [
    f"Generator: transformers {transformers.__version__} (WatermarkDetector) on torch {torch.__version__}, CPU generator, as extra_hf_kgw.py calls it.",
    "Fields as in hf_kgw.json, without a leading BOS token. key is the number that the tool was given; as_unsigned is what a 64-bit "
    "key must be to mean the same: for selfhash its two's complement, for lefthash key mod 2^64 - 1.",
    "once: the same with ignore_repeated_ngrams, which counts each n-gram once in this version (in 5.17.0 it had no effect); "
    "tool_p_value is the normal tail in this version (in 5.17.0 it was not).",
]
CASES = [
    # key, scheme, width, ratio, V, tokens
    (0x9E3779B97F4A7C15, "lefthash", 1, 0.25, 32000, 60),
    (2**64 - 1, "lefthash", 1, 0.5, 32000, 40),
    (2**64 - 2, "lefthash", 3, 0.1, 128256, 40),
    (2**63, "selfhash", 4, 0.25, 32000, 60),
    (2**64 - 1, "selfhash", 2, 0.9, 128256, 40),
    (0xDEADBEEF00000001, "selfhash", 16, 0.3333, 128256, 60),
    (1, "selfhash", 64, 0.25, 1000, 100),
    (0, "lefthash", 1, 0.25, 32000, 40),
    (-15485863, "lefthash", 1, 0.25, 32000, 40),
    (-15485863, "selfhash", 3, 0.25, 32000, 40),
    (-(2**63), "selfhash", 1, 0.75, 50257, 40),
    (12345678901234567890, "lefthash", 5, 0.001, 262144, 40),
]


def tokens(rng, vocab, number):
    """Random ids, the first and the last id of the vocabulary, and a passage that comes again."""
    made = [rng.randrange(vocab) for _ in range(number // 2)] + [0, vocab - 1]
    return (made + made)[:number]


def case(rng, key, scheme, width, ratio, vocab, number):
    ids = tokens(rng, vocab, number)
    config = transformers.WatermarkingConfig(
        greenlist_ratio=ratio, hashing_key=key, seeding_scheme=scheme, context_width=width
    )
    model = transformers.PretrainedConfig(vocab_size=vocab, bos_token_id=vocab)
    each, once = (
        transformers.WatermarkDetector(model, "cpu", config, ignore_repeated_ngrams=flag) for flag in (False, True)
    )
    own = int(scheme == "selfhash")
    first = width - own
    green = ""
    for at in range(first, number):
        prefix = torch.tensor(ids[at - first : at + own])
        green += str(int(ids[at] in each.processor._get_greenlist_ids(prefix)))
    found, distinct = (detector(torch.tensor([ids]), return_dict=True) for detector in (each, once))
    assert (len(green), green.count("1")) == (found.num_tokens_scored[0], found.num_green_tokens[0])
    return {
        "key": str(key), "as_unsigned": str(key % 2**64 if own else key % (2**64 - 1)),
        "config": {"greenlist_ratio": ratio, "seeding_scheme": scheme, "context_width": width},
        "vocab_size": vocab, "tokens": ids, "first_scored": first, "green": green,
        "num_tokens_scored": int(found.num_tokens_scored[0]), "num_green_tokens": int(found.num_green_tokens[0]),
        "tool_p_value": float(found.p_value[0]),
        "once": {"num_tokens_scored": int(distinct.num_tokens_scored[0]), "num_green_tokens": int(distinct.num_green_tokens[0])},
    }


rng = random.Random(523)
made = [case(rng, *parameters) for parameters in CASES]
print(json.dumps({"_comment": COMMENT, "cases": made}))
