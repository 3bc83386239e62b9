"""Tokens per second that the other tools' own detectors read, and Touchmark on the same ids, in one run on one machine.

Run by run.py --speed, after `cargo bench --no-run`. Each tool reads the ids of benches/score.rs (of benches/peers.rs for
green lists) in one thread, at its best of a few runs; Touchmark's figures are criterion's medians of those two benches, run
between the tools. Writes results/speed.md.
"""

import json
import os
import pathlib
import subprocess
import time
import types

import torch

import interop
import peers

RESULTS = interop.HERE / "results/speed.md"
CRITERION = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", interop.ROOT / "target")) / "criterion"
V_LISTS = 128_256

# mark: (bench, criterion's group, criterion's name, the tool)
ROWS = {
    "vllm_gumbel": ("score", "score", "vllm-gumbel h=4", "vLLM 0.33.0"),
    "vllm_dual_key_gumbel": ("score", "score", "vllm-gumbel dual h=4", "vLLM 0.33.0"),
    "sglang_gumbel": ("score", "score", "sglang-gumbel h=4", "SGLang 0.5.23"),
    "hf_synthid_30": ("score", "score", "synthid-text table m=30", "synthid-text 0.2.1, mean score"),
    "synthid_iv": ("score", "score", "synthid-text iv m=30", "synthid-text addb4a1, mean score"),
    "hf_kgw_lefthash": ("peers", "transformers-kgw cold", "lefthash", "transformers 5.23.0, new contexts"),
    "hf_kgw_lefthash, again": ("peers", "transformers-kgw cached", "lefthash", "transformers 5.23.0, the same contexts again"),
}


def scattered(i):
    return (i * 2_654_435_761 % 2**32) / 2**32


def ids_of(bench):
    if bench == "score":
        return [int(50_000 ** scattered(i)) for i in range(1, 2_001)]
    return [4 + i * 61 % (V_LISTS - 4) for i in range(1, 2_049)]


def seconds(detector, ids, runs):
    best = float("inf")
    for _ in range(runs):
        begin = time.perf_counter()
        detector(ids, fully=False)
        best = min(best, time.perf_counter() - begin)
    return best


def tool(mark, bench):
    """Tokens per second of the tool's detector."""
    name, _, again = mark.partition(", ")
    detector = interop.detector_of(name, types.SimpleNamespace(vocab_size=V_LISTS, bos_token_id=0, is_encoder_decoder=False))
    if detector is None:
        return None
    ids = ids_of(bench)
    if name.startswith("hf_kgw") and not again:
        # Lists are kept from the first reading on, and take milliseconds each: once, on a part.
        ids = ids[:200]
        return len(ids) / seconds(detector, ids, 1)
    if again:
        detector(ids[:200], fully=False)
        ids = ids[:200]
    return len(ids) / seconds(detector, ids, 5)


def ours(bench, group, name):
    command = ["cargo", "bench", "--quiet", "--bench", bench, "--", f"^{group}/{name}$"]
    subprocess.run(command, check=True, cwd=interop.ROOT, stdout=subprocess.DEVNULL)
    for file in CRITERION.glob("**/new/benchmark.json"):
        info = json.loads(file.read_text())
        if (info["group_id"], info["function_id"]) == (group, name):
            median = json.loads((file.parent / "estimates.json").read_text())["median"]["point_estimate"]
            return info["throughput"]["Elements"] / median * 1e9
    raise SystemExit(f"criterion left no figure of {group}/{name}")


def main():
    torch.set_num_threads(1)
    lines = ["| tool | its own detector, tokens/s | Touchmark, tokens/s | ratio |", "|---|---:|---:|---:|"]
    for mark, (bench, group, name, shown) in ROWS.items():
        theirs, here = tool(mark, bench), ours(bench, group, name)
        if theirs is not None:
            lines.append(f"| {shown}: {name} | {theirs:,.0f} | {here:,.0f} | {here / theirs:,.0f} |")
            print(lines[-1], flush=True)
    note = "Written by speed.py: one core, ids to score, each pair in turn in one run on one machine."
    RESULTS.write_text("\n".join([note, "", *lines, ""]))


main()
