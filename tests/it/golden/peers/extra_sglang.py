"""Sequences read by SGLang's own detector with keys, windows and vocabularies that sglang_gumbel.json lacks.

Run: python3 extra_sglang.py > extra_sglang.json (sglang 0.5.23 with --no-deps, msgspec; of the package only
`sglang/srt/sampling/watermarking` is needed, without the `__init__.py` above it)."""

import json
import random

from sglang.srt.sampling.watermarking import detector as tool

COMMENT = [
    "Generator: sglang 0.5.23, sglang.srt.sampling.watermarking.detector, as extra_sglang.py calls it.",
    "word, word_b: watermark_hash of each token under the first and the second key; coin: position_coin. They are given "
    "from the first token on, with the prompt's tail before it; the very first position without a context is null.",
]
CASES = [
    # key, key_b, P, window, V, prompt length, tokens
    ("0", None, None, 4, 32000, 6, 40),
    ("ffffffffffffffff", None, None, 1, 128256, 3, 60),
    ("8000000000000000", "7fffffffffffffff", 0.5, 16, 128256, 20, 40),
    ("DeadBeef00000001", "0x1", 0.999, 64, 151936, 70, 80),
    ("0Xfeedfacecafebeef", "8badf00d", 0.001, 2, 262144, 1, 40),
    ("9e3779b97f4a7c15", None, None, 7, 50257, 0, 40),
    ("1", "ffffffffffffffff", 0.3, 5, 2, 2, 40),
]


def tokens(rng, vocab, number):
    """Random ids, the first and the last id of the vocabulary, and a passage that comes again."""
    made = [rng.randrange(vocab) for _ in range(number // 2)] + [0, vocab - 1]
    return (made + made)[:number]


def statistic(found):
    return {"num_contexts": found.num_contexts, "score": found.score, "tool_log_p_value": found.log_p_value}


def case(rng, key, key_b, mixing, window, vocab, before, number):
    prompt, ids = [rng.randrange(vocab) for _ in range(before)], tokens(rng, vocab, number)
    more = {} if key_b is None else {"key_b": key_b, "mixing_probability": mixing}
    detector = tool.WatermarkDetector(key, context_window=window, **more)
    a, b = detector._key_a, detector._key_b
    words, words_b, coins = [], [], []
    for at, token in enumerate(ids):
        context = (prompt + ids[:at])[-window:]
        if not context:
            words.append(None)
            words_b.append(None)
            coins.append(None)
            continue
        hashed = tool.hash_context(context)
        words.append(tool.watermark_hash(a, hashed, token))
        if b is not None:
            words_b.append(tool.watermark_hash(b, hashed, token))
            coins.append(tool.position_coin(a, b, hashed))
    found = detector.detect_tokens(ids, prompt_token_ids=prompt)
    second = {} if b is None else {"word_b": words_b, "coin": coins, "mixing_threshold": detector._mixing_threshold}
    return {
        "key": key, "key_b": key_b, "mixing_probability": mixing, "context_window": window, "vocab_size": vocab,
        "prompt": prompt, "tokens": ids, "word": words, **second, "combined": statistic(found.combined),
    }


rng = random.Random(523)
made = [case(rng, *parameters) for parameters in CASES]
print(json.dumps({"_comment": COMMENT, "cases": made}))
