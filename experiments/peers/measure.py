"""Each tool's own detector and Touchmark on the same ids: how many marked texts they find, and how fast. Run by run.py.

The marks are the tools' own, written by Touchmark with profiles of their configurations (experiments/interop shows that
the tools read them as their own). Power is the share of marked texts with a smaller p than all but 1 % of the human texts:
it asks nothing of the p-value but its order. Whether the p-values hold their rates is what experiments/peer_p_values shows.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import time
import types

import torch
import transformers

import interop
import peers
from touchmark import MODEL, ROOT, Touchmark

HERE = pathlib.Path(__file__).resolve().parent
FOLDER = pathlib.Path(os.environ["INTEROP_CACHE"]) / "peers"
LENGTHS = [25, 50, 100, 200]
PROMPT = 24
NOMINAL = 1e-3
HUMAN_SHARE = 0.01
SPEED_TOKENS = 2_000_000
READER = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release/examples/peers_read"
TOOLS = {
    "vllm_gumbel": "vLLM", "vllm_dual_key_gumbel": "vLLM", "sglang_gumbel": "SGLang", "sglang_two_keys": "SGLang",
    "hf_kgw_lefthash": "transformers", "hf_kgw_selfhash": "transformers", "hf_synthid_30": "synthid-text", "synthid_iv": "synthid-text",
    "markllm_kgw": "MarkLLM", "markllm_exp": "MarkLLM",
}


def config_of(mark):
    own = HERE / f"{mark}.json"
    return ("markllm", own, ["--device", "cpu"] if mark == "markllm_kgw" else []) if own.exists() else (
        interop.MARKS[mark][0], interop.config_of(mark), interop.MARKS[mark][2])


def detector_of(mark, model_config):
    tool, file, _ = config_of(mark)
    return peers.MarkLlm(file, model_config.vocab_size) if tool == "markllm" else interop.detector_of(mark, model_config)


def windows(tokenizer):
    """Human text in pieces of the greatest length, and prompts from before each."""
    prompts, pieces = [], []
    for row in interop.lines(ROOT / "tests/data/human.jsonl"):
        ids = tokenizer(row["text"], add_special_tokens=False)["input_ids"]
        step = PROMPT + LENGTHS[-1]
        for at in range(0, len(ids) - step + 1, step):
            prompts.append(tokenizer.decode(ids[at:at + PROMPT]))
            pieces.append(ids[at + PROMPT:at + step])
    return prompts, pieces


def rows_of(marked, human, tokens):
    for kind, texts in (("marked", marked), ("human", human)):
        for number, ids in enumerate(texts):
            yield {"id": f"{kind}:{number}", "ids": ids[:tokens]}


def by_tool(detector, rows):
    """log10 p of each row by the tool's own detector, and seconds."""
    begin = time.perf_counter()
    found = {row["id"]: detector(row["ids"], fully=False)["log10_p"] for row in rows}
    return found, time.perf_counter() - begin


def by_touchmark(touchmark, mark, rows):
    file = FOLDER / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answers = touchmark.detect(mark, file, "--tokens-field", "ids")
    return {name: row["log10_p_corrected"] for (name, _), row in answers.items()}


def power(marked, human):
    """Share of marked texts found where just HUMAN_SHARE of the human ones are: the ROC curve, straight between thresholds, since
    few thresholds of a discrete p-value give that share exactly."""
    before = (0.0, 0.0)
    for threshold in sorted({*marked, *human}):
        alarms = sum(p <= threshold for p in human) / len(human)
        hits = sum(p <= threshold for p in marked) / len(marked)
        if alarms >= HUMAN_SHARE:
            return before[1] + (hits - before[1]) * (HUMAN_SHARE - before[0]) / (alarms - before[0])
        before = (alarms, hits)
    return 1.0


def side(found, rate=True):
    """What one detector finds."""
    marked, human = ([p for name, p in found.items() if name.startswith(kind)] for kind in ("marked", "human"))
    share = lambda texts, fits: sum(map(fits, texts)) / len(texts)
    nominal = lambda p: p <= math.log10(NOMINAL)
    return {
        "power": power(marked, human),
        "marked_at_p": share(marked, nominal) if rate else None,
        "human_at_p": share(human, nominal) if rate else None,
        "median_log10_p": sorted(marked)[(len(marked) - 1) // 2],
    }


def speed(mark, vocab_size):
    """Tokens a second of Touchmark's detector, of the rows that the tool has read, which are in memory."""
    tool, config, more = config_of(mark)
    hash_name = more[more.index("--hash") + 1] if "--hash" in more else "-"
    command = [READER, tool, config, vocab_size, hash_name, FOLDER / "rows.jsonl"]
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["tokens_per_second"]


def whole_speed(touchmark, mark, rows):
    """Tokens a second of the whole program on one core, from a file of ids to a file of rows."""
    rows = list(rows)
    tokens = sum(len(row["ids"]) for row in rows)
    times = math.ceil(SPEED_TOKENS / tokens)
    file = FOLDER / "speed.jsonl"
    with open(file, "w") as out:
        for again in range(times):
            out.writelines(json.dumps({**row, "id": f"{again}:{row['id']}"}) + "\n" for row in rows)
    arguments = [
        "--threads", 1, "detect", file, "--profile", mark, "--normalise", "off", "--tokens-field", "ids", "--format", "jsonl",
        "-o", FOLDER / "speed-rows.jsonl",
    ]
    best = math.inf
    for _ in range(3):
        begin = time.perf_counter()
        touchmark.run(*arguments)
        best = min(best, time.perf_counter() - begin)
    return times * tokens / best


def measure(touchmark, mark, detector, marked, human, vocab_size):
    own_p = mark not in ("hf_synthid_30", "synthid_iv", "markllm_kgw")
    lengths = []
    for tokens in LENGTHS:
        rows = list(rows_of(marked, human, tokens))
        own, seconds = by_tool(detector, rows)
        ours = by_touchmark(touchmark, mark, rows)
        lengths.append({"tokens": tokens, "own": side(own, own_p), "touchmark": side(ours)})
    return {
        "mark": mark, "tool": TOOLS[mark], "lengths": lengths,
        "own_tokens_per_second": sum(len(row["ids"]) for row in rows) / seconds,
        "touchmark_tokens_per_second": speed(mark, vocab_size),
        "whole_program_tokens_per_second": whole_speed(touchmark, mark, rows),
    }


def markdown(results):
    yield f"Written by measure.py; {results['texts']} marked texts and {results['human']} human ones. Versions: " + ", ".join(
        f"{name} {version}" for name, version in results["versions"].items()
    ) + ".\n"
    head = ["tool", "mark", "tokens", "its power", "our power", "found at its p ≤ 0.001", "at our p ≤ 0.001", "human texts there", "ours"]
    yield "| " + " | ".join(head) + " |\n|---|---|" + "---:|" * (len(head) - 2)
    share = lambda value: "–" if value is None else f"{100 * value:.1f} %"
    for row in results["rows"]:
        for length in row["lengths"]:
            cells = [share(length[who][name]) for name in ("power", "marked_at_p", "human_at_p") for who in ("own", "touchmark")]
            yield f"| {row['tool']} | {row['mark']} | {length['tokens']} | " + " | ".join(cells) + " |"
    yield "\n| tool | mark | its tokens/s | Touchmark's | ratio | whole program |\n|---|---|---:|---:|---:|---:|"
    for row in results["rows"]:
        own, ours, whole = (row[f"{who}_tokens_per_second"] for who in ("own", "touchmark", "whole_program"))
        yield f"| {row['tool']} | {row['mark']} | {own:,.0f} | {ours:,.0f} | {ours / own:,.0f} | {whole:,.0f} |"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=200, help="marked texts")
    parser.add_argument("--human", type=int, default=700, help="human texts")
    options = parser.parse_args()
    if not READER.exists():
        raise SystemExit(f"{READER} is missing; run: cargo build --release --example peers_read")
    FOLDER.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    model_config = transformers.AutoConfig.from_pretrained(MODEL)
    touchmark = Touchmark(FOLDER)
    prompts, human = windows(tokenizer)
    # Human texts are read that no marked one continues.
    human = human[options.texts:][:options.human]
    file = FOLDER / "prompts.jsonl"
    rows = ({"id": str(number), "prompt": prompt} for number, prompt in enumerate(prompts[:options.texts]))
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    results = {
        "texts": options.texts, "human": len(human), "lengths": LENGTHS, "nominal": NOMINAL, "human_share": HUMAN_SHARE,
        "versions": {"touchmark": touchmark.version(), **peers.versions()}, "rows": [],
    }
    for mark in TOOLS:
        detector = detector_of(mark, model_config)
        if detector is None:
            interop.say(f"{mark} is left out: its tool could not be fetched")
            continue
        interop.say(mark)
        tool, config, more = config_of(mark)
        touchmark.profile(mark, tool, config, *more)
        output = FOLDER / f"{mark}.jsonl"
        touchmark.run(
            "generate", MODEL, "--prompts", file, "--profile", mark, "--ignore-eos", "--max-tokens", LENGTHS[-1], "--seed", 1, "-o", output,
        )
        marked = [row["ids"] for row in interop.lines(output)]
        output.unlink()
        results["rows"].append(measure(touchmark, mark, detector, marked, human, model_config.vocab_size))
        (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results.md").write_text("\n".join(markdown(results)) + "\n")


if __name__ == "__main__":
    main()
