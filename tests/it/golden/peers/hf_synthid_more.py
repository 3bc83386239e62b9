"""Writes hf_synthid_more.json: SynthID-Text of transformers with keys, tables and lengths that nobody uses but anybody may.

Run with transformers and torch for the CPU; their versions go into the file.
"""

import json
import pathlib
import random

import torch
import transformers
from transformers.generation.logits_process import SynthIDTextWatermarkLogitsProcessor
from transformers.generation.watermarking import BayesianDetectorConfig, BayesianDetectorModel

NUMBERS = random.Random(20261121)

CASES = [
    # name, vocabulary, n-gram, layers, memory, table size, table seed
    ("negative and large numbers, 40 layers", 151_936, 5, 40, 1024, 65_536, 0),
    ("a table of three bits", 50_257, 2, 64, 4, 3, 1),
    ("an odd table", 262_144, 8, 12, 30, 12_289, 2**33 + 5),
    ("a table of 2^20", 32_000, 3, 33, 1024, 2**20, 123_456_789),
]


def bits(rows):
    return ["".join(str(int(bit)) for bit in row) for row in rows]


def posterior(processor, tokens, depth, eos):
    """With weights that are multiples of 1/16, so that float32 holds them exactly."""
    beta = [(-40 + NUMBERS.randrange(16)) / 16 for _ in range(depth)]
    delta = [[NUMBERS.randrange(-4, 5) / 16 for _ in range(depth)] for _ in range(depth)]
    model = BayesianDetectorModel(BayesianDetectorConfig(watermarking_depth=depth, base_rate=0.4))
    with torch.no_grad():
        model.likelihood_model_watermarked.beta.copy_(torch.tensor(beta)[None, None])
        model.likelihood_model_watermarked.delta.copy_(torch.tensor(delta)[None, None])
        width = processor.ngram_len - 1
        ended = processor.compute_eos_token_mask(tokens, eos)[:, width:]
        mask = ended * processor.compute_context_repetition_mask(tokens)
        mask[:, 8:] = 0
        found = model(processor.compute_g_values(tokens), mask)[0]
    return {"prior": 0.4, "beta": beta, "delta": delta, "posterior_first8": float(found)}


def case(name, vocab, ngram_len, depth, memory, size, seed):
    keys = [NUMBERS.randrange(-(2**63), 2**63) for _ in range(depth)]
    config = dict(
        ngram_len=ngram_len,
        keys=keys,
        context_history_size=memory,
        sampling_table_size=size,
        sampling_table_seed=seed,
    )
    processor = SynthIDTextWatermarkLogitsProcessor(**config, device=torch.device("cpu"))
    ids = [NUMBERS.randrange(vocab) for _ in range(30)]
    ids = ids + ids[5:20] + [NUMBERS.randrange(vocab) for _ in range(12)] + ids[10:19]
    eos = ids[-3]
    tokens = torch.tensor([ids])
    width = ngram_len - 1
    return {
        "name": name,
        "variant": "synthid-table",
        "vocab_size": vocab,
        "config": config | {"keys": [str(key) for key in keys]},
        "eos_token_id": eos,
        "tokens": ids,
        "g_values": bits(processor.compute_g_values(tokens)[0]),
        "not_repeated": bits(processor.compute_context_repetition_mask(tokens))[0],
        "before_eos": bits(processor.compute_eos_token_mask(tokens, eos)[:, width:])[0],
        # A matrix of 64 rows would be most of the file.
        "bayesian": posterior(processor, tokens, depth, eos) if depth in (12, 40) else None,
    }


def main():
    comment = (
        "SynthID-Text as transformers computes it (SynthIDTextWatermarkLogitsProcessor, BayesianDetectorModel on the CPU), for keys "
        "over all 64 bits and for odd tables. g_values: one row for each full n-gram, layer 0 first. not_repeated, before_eos: one "
        "character a row. bayesian.posterior_first8: only the first 8 rows of the product of both masks are kept. "
        f"Written by hf_synthid_more.py with transformers {transformers.__version__} and torch {torch.__version__}."
    )
    cases = [case(*parameters) for parameters in CASES]
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps({"comment": comment, "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
