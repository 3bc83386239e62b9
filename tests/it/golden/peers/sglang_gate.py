"""Runs of SGLang's state machine in which its entropy gate closes: the parts of `WatermarkState.force` that run on the CPU.

Run: python3 sglang_gate.py > sglang_gate.json (sglang 0.5.23 with --no-deps, torch 2.15, msgspec; the package's own
`sglang/__init__.py` is not needed, only `sglang/srt/sampling/watermarking`)."""

import json

import torch
from sglang.srt.sampling.watermarking import core

COMMENT = [
    "Generator: sglang 0.5.23, sglang.srt.sampling.watermarking.core on the CPU, as sglang_gate.py calls it.",
    "Fields and logits as under `generation` in sglang_gumbel.json; reason: 1 = the context was marked before, 2 = the most "
    "probable candidate exceeds max_probability, 0 = marked.",
]


def logit(step, token):
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return (x >> 8) / 2**21


def run(case, steps):
    window, vocab = case["context_window"], case["vocab_size"]
    state = core.WatermarkState(
        max_num_reqs=1,
        context_window=window,
        max_contexts_per_req=4096,
        key=case["key"],
        key_b=case["key_b"],
        mixing_probability=case["mixing_probability"],
        max_probability=case["max_probability"],
        device="cpu",
        default_enabled=True,
    )
    row = torch.tensor([0])
    for token in case["prompt"]:
        state.append(row, torch.tensor([token]))
    output, forced, reason = [], [], []
    for step in range(steps):
        logits = torch.tensor([[logit(step % 7, token) for token in range(vocab)]], dtype=torch.float32)
        likeliest = int(logits.argmax())
        contexts, lengths = state.contexts_tail(row)
        hashes = core._hash_contexts(contexts, lengths)
        fresh = state._new_context_mask(row, hashes, lengths > 0)
        keys_b, thresholds = state._dual_key_rows(row)
        selected = core.force_watermark_tokens(
            logits=logits,
            context_hashes=hashes,
            eligible=fresh,
            temperatures=torch.tensor([[case["temperature"]]]),
            top_ks=torch.tensor([case["top_k"]]),
            top_ps=torch.tensor([case["top_p"]]),
            min_ps=torch.tensor([case["min_p"]]),
            keys=state.default_key_buffer[:1],
            keys_b=keys_b,
            mixing_thresholds=thresholds,
            max_probability=case["max_probability"],
        )
        state._record_contexts(row, hashes, selected)
        token = int(logits.argmax()) if bool(selected) else likeliest
        output.append(token)
        forced.append("1" if bool(selected) else "0")
        reason.append("0" if bool(selected) else "2" if bool(fresh) else "1")
        state.append(row, torch.tensor([token]))
    return {**case, "output": output, "forced": "".join(forced), "reason": "".join(reason)}


usual = {
    "key": "c0ffee", "key_b": None, "mixing_probability": 0.5, "max_probability": 1.0, "context_window": 2,
    "vocab_size": 300, "prompt": [5, 6, 7], "temperature": 0.5, "top_k": 20, "top_p": 0.9, "min_p": 0.0,
}
cases = [
    {**usual, "max_probability": 0.09},
    {**usual, "max_probability": 0.05, "key_b": "F00D", "mixing_probability": 0.75, "context_window": 1, "top_k": 300},
    {**usual, "max_probability": 0.15, "temperature": 0.2, "min_p": 0.02, "context_window": 5, "prompt": [9]},
]
print(json.dumps({"_comment": COMMENT, "generation": [run(case, 90) for case in cases]}))
