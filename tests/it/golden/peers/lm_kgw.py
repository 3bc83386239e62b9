"""Green lists of lm-watermarking and of MarkLLM's KGW, by their own code on torch's CPU generator.

Run: python3 lm_kgw.py LM_WATERMARKING MARKLLM > lm_kgw.json, with clones of github.com/jwkirchenbauer/lm-watermarking at
fb602de and github.com/THU-BPM/MarkLLM at 112fa74, and torch and transformers installed. What the files import beside
those (scipy, nltk, tokenizers of a model, plots) takes no part in lists and is stood in for.
"""

import hashlib
import json
import random
import sys
import types
from unittest.mock import MagicMock

import torch
from transformers import LogitsProcessor, LogitsProcessorList  # noqa: F401  (before scipy is stood in for)

LM, MARKLLM = sys.argv[1:3]


def ngrams(sequence, n):
    return zip(*(sequence[i:] for i in range(n)))


for name in ("scipy", "scipy.stats", "nltk", "nltk.util", "normalizers"):
    sys.modules[name] = MagicMock()
sys.modules["nltk.util"].ngrams = ngrams
sys.modules["scipy"].stats.norm.sf = lambda z: None
sys.path.insert(0, LM)
import alternative_prf_schemes as schemes  # noqa: E402
import extended_watermark_processor as extended  # noqa: E402
import watermark_processor as legacy  # noqa: E402

sys.path.insert(0, MARKLLM)
for name in ("utils", "utils.utils", "utils.transformers_config", "exceptions", "exceptions.exceptions",
             "visualize", "visualize.data_for_visualization", "watermark.base"):
    sys.modules[name] = MagicMock()
sys.modules["watermark.base"].BaseConfig = sys.modules["watermark.base"].BaseWatermark = object
for name in ("watermark", "watermark.kgw"):
    module = types.ModuleType(name)
    module.__path__ = [MARKLLM + "/" + name.replace(".", "/")]
    sys.modules[name] = module
from watermark.kgw.kgw import KGWLogitsProcessor, KGWUtils  # noqa: E402

rng = random.Random(2026)


def mask_digest(ids, vocab_size):
    mask = bytearray(vocab_size)
    for i in ids:
        mask[int(i)] = 1
    return hashlib.sha256(mask).hexdigest()


def logits(step, vocab_size):
    token = torch.arange(vocab_size, dtype=torch.int64)
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return ((x >> 8).double() / 2097152.0).float()


def biased(processor, context, step, vocab_size):
    scores = logits(step, vocab_size)[None]
    after = processor(torch.tensor([context]), scores.clone())
    return [int(i) for i in (after[0] > scores[0]).nonzero()[:, 0]]


def text(vocab_size, length, zeros):
    ids = [rng.randrange(vocab_size) for _ in range(length)]
    ids[length // 2: length // 2 + 8] = ids[2:10]
    for at in zeros:
        ids[at] = 0
    return ids


def lm_case(name, prf, width, self_salt, key, vocab_size, gamma, green):
    scheme = f"ff-{prf}-{width}-{self_salt}-{key}"
    vocab = list(range(vocab_size))
    ids = text(vocab_size, 48, [7, 20, 21])
    detector = extended.WatermarkDetector(vocab=vocab, gamma=gamma, seeding_scheme=scheme, select_green_tokens=green,
                                          device=torch.device("cpu"), tokenizer=object(), normalizers=[])
    answer = detector._score_sequence(torch.tensor(ids), return_green_token_mask=True, return_z_at_T=False,
                                      return_p_value=False)
    processor = extended.WatermarkLogitsProcessor(vocab=vocab, gamma=gamma, delta=2.0, seeding_scheme=scheme,
                                                  select_green_tokens=green)
    seed_ids = ids[30:30 + width]
    context = ids[30:30 + max(width, 2)]
    listed = detector._get_greenlist_ids(torch.tensor(seed_ids))
    raised = biased(processor, context, 3, vocab_size)
    return {
        "name": name, "vocab_size": vocab_size, "key": str(key),
        "config": {"prf_type": prf, "context_width": width, "self_salt": self_salt, "gamma": gamma,
                   "select_green_tokens": green},
        "tokens": ids,
        "green": "".join("01"[bit] for bit in answer["green_token_mask"]),
        "num_tokens_scored": answer["num_tokens_scored"],
        "num_green_tokens": int(answer["num_green_tokens"]),
        "seed_ids": seed_ids,
        "prf_value": str(schemes.prf_lookup[prf](torch.tensor(seed_ids), salt_key=key)),
        "first8": [int(i) for i in listed[:8]], "size": len(listed), "sha256_mask": mask_digest(listed, vocab_size),
        "context": context, "step": 3,
        "biased_count": len(raised), "biased_sha256": mask_digest(raised, vocab_size),
        **({"biased": raised} if self_salt else {}),
    }


def legacy_case(key, vocab_size, gamma, green):
    vocab = list(range(vocab_size))
    ids = text(vocab_size, 48, [7])
    detector = legacy.WatermarkDetector(vocab=vocab, gamma=gamma, hash_key=key, select_green_tokens=green,
                                        device=torch.device("cpu"), tokenizer=object(), normalizers=[],
                                        ignore_repeated_bigrams=False)
    answer = detector._score_sequence(torch.tensor(ids), return_green_token_mask=True, return_p_value=False)
    return {
        "name": f"legacy-V{vocab_size}-{gamma}-{green}", "vocab_size": vocab_size, "key": str(key),
        "config": {"prf_type": "additive_prf", "context_width": 1, "self_salt": False, "gamma": gamma,
                   "select_green_tokens": green},
        "tokens": ids, "green": "".join("01"[bit] for bit in answer["green_token_mask"]),
    }


def markllm_case(f_scheme, window, prefix, key, vocab_size, gamma):
    config = types.SimpleNamespace(device="cpu", hash_key=key, vocab_size=vocab_size, gamma=gamma, delta=2.0,
                                   prefix_length=prefix, f_scheme=f_scheme, window_scheme=window)
    utils = KGWUtils(config)
    ids = text(vocab_size, 32 if window == "left" else 12, [5])
    _, flags = utils.score_sequence(torch.tensor(ids))
    context = ids[:prefix + 2]
    raised = biased(KGWLogitsProcessor(config, utils), context, 5, vocab_size)
    return {
        "name": f"{f_scheme}-{window}-{prefix}-V{vocab_size}", "vocab_size": vocab_size, "key": str(key),
        "config": {"gamma": gamma, "delta": 2.0, "prefix_length": prefix, "f_scheme": f_scheme,
                   "window_scheme": window},
        "tokens": ids, "green": "".join(str(flag) for flag in flags if flag >= 0),
        "context": context, "step": 5, "biased_count": len(raised), "biased_sha256": mask_digest(raised, vocab_size),
    }


KEYS = (15485863, 4611686018427388039, 9223372036854775807)
cases = []
for number, prf in enumerate(schemes.prf_lookup):
    for width, self_salt in ((1, False), (4, False), (4, True), (5, True)):
        if prf == "minskipgram_prf" and width == 1:
            continue
        key, vocab_size = KEYS[len(cases) % 3], (512, 2000)[len(cases) % 2]
        gamma, green = (0.25, 0.5)[width % 2], len(cases) % 4 != 1
        cases.append(lm_case(f"{prf}-{width}-{self_salt}", prf, width, self_salt, key, vocab_size, gamma, green))
for name in ("simple_1", "selfhash", "minhash", "skipgram"):
    prf, width, self_salt, key = schemes.seeding_scheme_lookup(name)
    cases.append(lm_case(name, prf, width, self_salt, key, 50257, 0.25, True))
older = [legacy_case(15485863, 50257, 0.5, True), legacy_case(15485863, 2000, 0.25, False)]
markllm = [markllm_case("time", "left", 1, 15485863, 50257, 0.5)]
for f_scheme in ("time", "additive", "skip", "min"):
    markllm.append(markllm_case(f_scheme, "left", 3, 4611686018427388039, 2000, 0.25))
    markllm.append(markllm_case(f_scheme, "self", 2, 15485863, 200, 0.5))

comment = (
    f"Green lists drawn by torch {torch.__version__} on the CPU. lm: lm-watermarking fb602de, extended_watermark_processor.py; "
    "green is one character for each scored token, from the first that has its context on; num_tokens_scored and "
    "num_green_tokens count each n-gram once; prf_value is what the PRF made of seed_ids before the modulus; first8, size "
    "and sha256_mask (one byte 0 or 1 a token) are of the list under it; biased are the ids whose logits the processor "
    "raised after context, logits being those of hf_kgw.json. legacy: watermark_processor.py of the same commit. "
    "markllm: KGW of MarkLLM 112fa74, window_scheme self included. Made by lm_kgw.py."
)
json.dump({"comment": comment, "lm": cases, "legacy": older, "markllm": markllm}, sys.stdout, separators=(",", ":"))
