"""g-values and masks of synthid-text's and transformers' processors with keys, tables and vocabularies that
synthid_text.json and hf_synthid.json lack.

Run: python3 extra_synthid.py [FOLDER] > extra_synthid.json (synthid-text 0.2.1 with --no-deps, transformers 5.23, torch
2.15, on the CPU; FOLDER is `src/synthid_text` of Google's repository at addb4a1)."""

import importlib.util
import json
import random
import sys

import torch
import transformers
from synthid_text import logits_processing as package


def of_file(path, name):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


kept = sys.modules["synthid_text.hashing_function"]
of_file(f"{sys.argv[1]}/hashing_function.py", "synthid_text.hashing_function")
sys.modules["synthid_text"].hashing_function = sys.modules["synthid_text.hashing_function"]
head = of_file(f"{sys.argv[1]}/logits_processing.py", "synthid_head")
sys.modules["synthid_text.hashing_function"] = sys.modules["synthid_text"].hashing_function = kept

COMMENT = [
    f"Generator: synthid-text 0.2.1 and transformers {transformers.__version__} (both gave the same; variant synthid-table), "
    "and Google's repository at addb4a1 (variant synthid-iv), on torch 2.15.0, CPU, as extra_synthid.py calls them.",
    "g_values[i]: bits of the token at first_scored + i, layer 0 first. not_repeated: one character a row, 1 = the context is "
    "not in the ring of the last context_history_size ones. num_scored, sum_g: over the unmasked rows.",
]
USUAL = {"context_history_size": 1024, "sampling_table_size": 65536, "sampling_table_seed": 0}
CASES = [
    # variant, n-gram length, keys, V, tokens, what differs from the usual table
    ("synthid-table", 5, [2**63 - 1, -1, -(2**63), 2**62 + 1, 0], 32000, 40, {}),
    ("synthid-table", 2, 40, 128256, 40, {"sampling_table_size": 3, "sampling_table_seed": 2**32 + 5}),
    ("synthid-table", 16, 8, 128256, 60, {"context_history_size": 3}),
    ("synthid-table", 3, 1, 262144, 60, {"sampling_table_size": 2**20 + 7, "sampling_table_seed": 2**63 - 1}),
    ("synthid-iv", 5, [2**63 - 1, -1, -(2**63), 2**62 + 1, 0], 32000, 40, {}),
    ("synthid-iv", 2, 40, 128256, 40, {"context_history_size": 5}),
    ("synthid-iv", 9, 1, 262144, 60, {}),
]


def tokens(rng, vocab, number):
    """Random ids, the first and the last id of the vocabulary, and a passage that comes again."""
    made = [rng.randrange(vocab) for _ in range(number // 2)] + [0, vocab - 1]
    return (made + made)[:number]


def read(processor, ids):
    rows = torch.tensor([ids])
    return processor.compute_g_values(rows)[0].tolist(), processor.compute_context_repetition_mask(rows)[0].int().tolist()


def case(rng, variant, ngram_len, keys, vocab, number, different):
    if isinstance(keys, int):
        keys = [rng.randrange(-(2**63), 2**63) for _ in range(keys)]
    ids, config = tokens(rng, vocab, number), {**USUAL, **different, "ngram_len": ngram_len, "keys": keys}
    sampling = {"temperature": 1.0, "top_k": 2, "device": torch.device("cpu")}
    if variant == "synthid-table":
        g, mask = read(package.SynthIDLogitsProcessor(**config, **sampling), ids)
        other = transformers.SynthIDTextWatermarkLogitsProcessor(**config, device="cpu")
        assert read(other, ids) == (g, mask)
    else:
        config = {name: value for name, value in config.items() if not name.startswith("sampling")}
        g, mask = read(head.SynthIDLogitsProcessor(**config, **sampling), ids)
    return {
        "variant": variant, "config": {**config, "keys": [str(key) for key in keys]}, "vocab_size": vocab, "tokens": ids,
        "first_scored": ngram_len - 1, "g_values": ["".join(map(str, row)) for row in g], "not_repeated": "".join(map(str, mask)),
        "num_scored": sum(mask), "sum_g": sum(sum(row) for row, kept in zip(g, mask) if kept),
    }


rng = random.Random(21)
made = [case(rng, *parameters) for parameters in CASES]
print(json.dumps({"_comment": COMMENT, "cases": made}))
