"""Measures decoding of this engine beside transformers and llama.cpp, in turns, and prints a table.

Run: cargo build --release --example decode_peers
     python experiments/decode_peers/run.py FOLDER [LLAMA_BATCHED_BENCH] [--rounds N] [--models 28m,500m] [--forms f32,q8_0,q4_k_s]

FOLDER is what models.py made; the Python that runs this needs torch and transformers.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
OURS = HERE.parents[1] / "target/release/examples/decode_peers"
PROMPT = 16


def ours(model, threads, batch, tokens):
    return [OURS, model, *map(str, (threads, batch, PROMPT, tokens))]


def theirs(model, threads, batch, tokens):
    script = HERE / "transformers_decode.py"
    return [sys.executable, script, model, *map(str, (threads, batch, PROMPT, tokens))]


def of_json(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def llama_cpp(bench, model, threads, batch, tokens):
    command = [bench, "-m", model, "-c", str(batch * (PROMPT + tokens)), "-npp", str(PROMPT), "-ntg", str(tokens),
               "-npl", str(batch), "-t", str(threads), "-tb", str(threads), "--output-format", "jsonl"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    rows = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    return {"tokens_per_s": rows[-1]["speed_tg"]}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("bench", nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="28m,500m")
    parser.add_argument("--forms", default="f32,q8_0,q4_k_s")
    options = parser.parse_args()
    rows = []
    for name in options.models.split(","):
        tokens = 256 if name == "28m" else 32
        for form in options.forms.split(","):
            for threads in (1, 2):
                for batch in (1, 8):
                    stem = options.folder / f"llama-{name}"
                    file = f"{stem}-{form}.gguf"
                    sides = {"touchmark": lambda: of_json(ours(file, threads, batch, tokens))}
                    if form == "f32":
                        sides["transformers"] = lambda: of_json(theirs(stem, threads, batch, tokens))
                    if options.bench:
                        sides["llama.cpp"] = lambda: llama_cpp(options.bench, file, threads, batch, tokens)
                    seen = {side: [] for side in sides}
                    for _ in range(options.rounds):
                        for side, run in sides.items():
                            seen[side].append(run())
                    row = {"model": name, "form": form, "threads": threads, "batch": batch}
                    for side, runs in seen.items():
                        row[side] = round(statistics.median(run["tokens_per_s"] for run in runs), 1)
                        if "load_s" in runs[0]:
                            row[f"{side} load s"] = round(statistics.median(run["load_s"] for run in runs), 2)
                            row[f"{side} peak MiB"] = max(run["peak_mib"] for run in runs)
                    rows.append(row)
                    print(json.dumps(row), flush=True)


main()
