"""Sequences read by vLLM's own detectors with keys, widths and vocabularies that vllm_gumbel.json lacks.

Run: python3 extra_vllm.py FOLDER > extra_vllm.json (torch 2.15; FOLDER has `vllm/v1/watermarking` and
`vllm/config/watermarking.py` of vllm 0.33.0; what else they import wants a GPU and is stood in for)."""

import json
import logging
import random
import sys
import types
import warnings

import pydantic.dataclasses
import torch

sys.path.append(sys.argv[1])
warnings.simplefilter("ignore")


class Logger(logging.getLoggerClass()):
    def warning_once(self, *_, **__):
        pass


def stand_in(name, **content):
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module


stand_in("vllm.logger", init_logger=Logger)
stand_in("vllm.config.utils", config=pydantic.dataclasses.dataclass)
stand_in("vllm.v1.worker.gpu.sample.gumbel", gumbel_sample=None)
from vllm.v1.watermarking.gumbel import DualKeyGumbelWatermarkDetector, GumbelWatermarkDetector  # noqa: E402

COMMENT = [
    "Generator: vllm 0.33.0, vllm.v1.watermarking.gumbel on the CPU, as extra_vllm.py calls it.",
    "uniform, uniform_b: the tool's uniform of each token under the first and the second key, as integers over 2^24 + 1 "
    "(rounded to 32 bits by the tool). scored: positions whose context is new. Keys are strings, since they exceed 2^53.",
]
CASES = [
    # key, alpha, width, V, tokens
    (0, None, 4, 32000, 40),
    (2**64 - 1, None, 1, 128256, 60),
    (2**63, None, 16, 128256, 40),
    (2**63 + 12345, 0.5, 2, 32000, 40),
    (13835058055282163712, 1.0, 64, 151936, 80),
    (9007199254740993, 0.25, 3, 262144, 40),
    (0xDEADBEEF00000001, 0.0, 7, 50257, 40),
    (6148914691236517205, None, 5, 2, 40),
]


def tokens(rng, vocab, number):
    """Random ids, the first and the last id of the vocabulary, and a passage that comes again."""
    made = [rng.randrange(vocab) for _ in range(number // 2)] + [0, vocab - 1]
    return (made + made)[:number]


def case(rng, key, alpha, width, vocab, number):
    ids = tokens(rng, vocab, number)
    if alpha is None:
        detector = GumbelWatermarkDetector(key, width)
        functions = [detector.prf]
    else:
        detector = DualKeyGumbelWatermarkDetector(key, width, alpha=alpha)
        functions = [detector.prf, detector.key_b_prf]
    padded = [-1] * width + ids
    contexts = torch.tensor([padded[at : at + width] for at in range(number)])
    uniforms = [
        [round(u * (2**24 + 1)) for u in function.uniform(contexts, torch.tensor(ids).unsqueeze(-1)).squeeze(-1).double().tolist()]
        for function in functions
    ]
    seen, scored = set(), ""
    for context in map(tuple, contexts.tolist()):
        scored += "0" if context in seen else "1"
        seen.add(context)
    found = detector.detect(ids)
    assert found.num_scored_tokens == scored.count("1")
    return {
        "key": str(key), "alpha": alpha, "context_width": width, "vocab_size": vocab, "tokens": ids, "scored": scored,
        **dict(zip(("uniform", "uniform_b"), uniforms)),
        "num_scored_tokens": found.num_scored_tokens, "score": found.score, "tool_p_value": found.p_value,
    }


rng = random.Random(33)
made = [case(rng, *parameters) for parameters in CASES]
print(json.dumps({"_comment": COMMENT, "cases": made}))
