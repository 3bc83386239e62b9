"""Measures decoding of this engine beside transformers and llama.cpp, in turns, with the limit that memory sets. run.py calls it.

FOLDER is what models.py made; the Python that runs this needs torch, transformers and gguf. Writes results.json, results.md and figure.svg
beside this file.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

import gguf
import torch
import transformers

import figure

HERE = pathlib.Path(__file__).parent
OURS = HERE.parents[1] / "target/release/examples/decode_peers"
PROMPT = 16
THREADS = (1, 2)
BATCHES = (1, 8)
SIDES = ("touchmark", "transformers", "llama.cpp")


def of_json(*command):
    # llama.cpp's programs write from a thread of their own, and now and then end before it has written.
    for _ in range(5):
        done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
        rows = [line for line in done.stdout.splitlines() if line.startswith("{")]
        if rows:
            return json.loads(rows[-1])
    sys.exit(f"{command} said nothing:\n{done.stderr}")


def llama_cpp(bench, model, threads, batch, tokens):
    row = of_json(bench, "-m", model, "-c", batch * (PROMPT + tokens), "-npp", PROMPT, "-ntg", tokens, "-npl", batch,
                  "-t", threads, "-tb", threads, "--output-format", "jsonl")
    return {"tokens_per_s": row["speed_tg"]}


def read_a_step(file):
    """Bytes of weights that every step reads: all but the rows of embeddings of other tokens, unless they are the output layer too."""
    tensors = {tensor.name: int(tensor.n_bytes) for tensor in gguf.GGUFReader(file).tensors}
    return sum(tensors.values()) - (tensors["token_embd.weight"] if "output.weight" in tensors else 0)


def cell(options, name, form, threads, batch, bandwidth):
    stem = options.folder / f"llama-{name}"
    file = f"{stem}-{form}.gguf"
    numbers = (threads, batch, PROMPT, 256 if name == "28m" else 32)
    sides = {"touchmark": lambda: of_json(OURS, file, *numbers)}
    if form == "f32":
        sides["transformers"] = lambda: of_json(sys.executable, HERE / "transformers_decode.py", stem, *numbers)
    sides["llama.cpp"] = lambda: llama_cpp(options.bench, file, threads, batch, numbers[-1])
    seen = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, run in sides.items():
            seen[side].append(run()["tokens_per_s"])
    row = {"model": name, "form": form, "threads": threads, "batch": batch}
    row |= {side: round(statistics.median(runs), 1) for side, runs in seen.items()}
    row["limit"] = round(batch * bandwidth[str(threads)] / read_a_step(file), 1)
    print(json.dumps(row), flush=True)
    return row


def markdown(results):
    lines = [
        f"Tokens a second, median of {results['rounds']}; {results['versions']}. The limit is what memory allows: bytes read a second over bytes of weights a step.",
        "",
        "| model | weights | threads | sequences | " + " | ".join(SIDES) + " | limit of memory |",
        "|---|---|---:|---:|" + "---:|" * (len(SIDES) + 1),
    ]
    for row in results["rows"]:
        cells = [f"{row[side]:,.1f}" if side in row else "–" for side in (*SIDES, "limit")]
        lines.append(f"| {row['model']} | {row['form']} | {row['threads']} | {row['batch']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("bench")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", default="28m,500m")
    parser.add_argument("--forms", default="f32,q8_0,q4_k_s")
    options = parser.parse_args()
    bandwidth = {str(threads): of_json(OURS, "bandwidth", threads)["bytes_per_s"] for threads in THREADS}
    versions = [f"torch {torch.__version__}", f"transformers {transformers.__version__}"]
    said = subprocess.run([options.bench, "--version"], capture_output=True, text=True)
    versions += [f"llama.cpp {(said.stdout + said.stderr).split('version:')[-1].split()[0]}"]
    cells = [(name, form, threads, batch) for name in options.models.split(",") for form in options.forms.split(",")
             for threads in THREADS for batch in BATCHES]
    results = {
        "versions": ", ".join(versions), "rounds": options.rounds, "bytes_per_second": bandwidth,
        "rows": [cell(options, *numbers, bandwidth) for numbers in cells],
    }
    (HERE / "results.json").write_text(json.dumps(results, indent=2) + "\n")
    (HERE / "results.md").write_text(markdown(results))
    (HERE / "figure.svg").write_text(figure.svg(results))


main()
