"""Runs the experiments one after the other, then writes the tables of manual, README and paper from their results.

Run: python3 experiments/all.py [--list] [--without-network] [NAME …]

An experiment that needs something that is not there (network, TOUCHMARK_MODELS) is named and left out, with exit code 1.
Minutes are those of two cores of a server of 2023, measured for some and estimated for others.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
EXAMPLE = "cargo run --release --example"
# name: (minutes, what it needs beside this repository, commands)
EXPERIMENTS = {
    "power": (10, None, [f"{EXAMPLE} power"]),
    "peer_p_values": (4, None, [f"{EXAMPLE} peer_p_values"]),
    "key_spread": (4, None, [f"{EXAMPLE} key_spread"]),
    "key_recovery": (1, None, [f"{EXAMPLE} key_recovery"]),
    "payload": (10, None, [f"{EXAMPLE} payload"]),
    "harness": (70, None, [
        "cargo run --release -- bench run experiments/harness/full.toml -o target/harness --threads 1",
        "cp target/harness/results.json experiments/harness/full.json",
        "cargo run --release -- bench run experiments/harness/while_writing.toml -o target/while_writing --threads 1",
        "cp target/while_writing/results.json experiments/harness/while_writing.json",
        "cargo run --release -- bench run experiments/harness/repeats.toml -o target/repeats --threads 1",
        "cp target/repeats/results.json experiments/harness/repeats.json",
        "cargo run --release -- bench run experiments/harness/small.toml -o target/small --threads 1",
        "cp target/small/results.json experiments/harness/small.json",
    ]),
    "corpus_fdr": (30, "crates' sources in ~/.cargo", [
        "python3 experiments/corpus_fdr/documents.py > target/documents.jsonl",
        f"{EXAMPLE} corpus_fdr -- target/documents.jsonl",
    ]),
    "throughput": (10, None, [
        "python3 experiments/corpus_fdr/documents.py --volume 200000 --volume-output target/volume.jsonl > target/documents.jsonl",
        f"{EXAMPLE} throughput -- target/volume.jsonl",
    ]),
    "serve_load": (15, None, [f"{EXAMPLE} serve_load -- throughput"]),
    "serve_detection": (30, None, [
        "cargo build --release",
        "python3 experiments/serve_detection/run.py --answers 2000 --out experiments/serve_detection/results.json",
    ]),
    "interop": (10, "network", ["cargo build --release", "python3 experiments/interop/run.py"]),
    "interop_speed": (15, "network", ["cargo bench --no-run", "python3 experiments/interop/run.py --speed"]),
    "peers": (20, "network", ["cargo build --release --bins --example peers_read", "python3 experiments/peers/run.py"]),
    "decode_peers": (30, "network", [
        "cargo build --release --example decode_peers",
        "python3 experiments/decode_peers/run.py",
    ]),
    "attribution_null": (20, "TOUCHMARK_MODELS", [f"{EXAMPLE} attribution_null"]),
    "distillation": (180, "TOUCHMARK_MODELS", ["experiments/distillation/students.sh target/students"]),
    "served_lineage": (40, "TOUCHMARK_MODELS", [
        f"{EXAMPLE} fingerprint_models -- target/tiny",
        "python3 experiments/served_lineage/run.py --models $TOUCHMARK_MODELS --tiny target/tiny"
        " --out experiments/served_lineage/results.json",
    ]),
    "served_identity": (40, "TOUCHMARK_MODELS", [
        "cargo build --release",
        "python3 experiments/served_identity/run.py --models $TOUCHMARK_MODELS --out experiments/served_identity/results.json",
    ]),
}
TABLES = ["python3 experiments/tables.py", "python3 paper/generate.py"]


def missing(need, options):
    if need == "network":
        return options.without_network
    return need == "TOUCHMARK_MODELS" and not os.environ.get(need)


def run(command):
    print(f"$ {command}", flush=True)
    subprocess.run(command, shell=True, cwd=ROOT, check=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", metavar="NAME", help="experiments to run [default: all]")
    parser.add_argument("--list", action="store_true", help="say what each needs, and run none")
    parser.add_argument("--without-network", action="store_true", help="leave out what fetches other tools")
    options = parser.parse_args()
    unknown = set(options.names) - set(EXPERIMENTS)
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}; known are {', '.join(EXPERIMENTS)}")
    wanted = {name: EXPERIMENTS[name] for name in options.names or EXPERIMENTS}
    if options.list:
        for name, (minutes, need, _) in wanted.items():
            print(f"{name:17} {minutes:3} min  {'needs ' + need if need else ''}".rstrip())
        return
    left = [name for name, (_, need, _) in wanted.items() if missing(need, options)]
    for name in [name for name in wanted if name not in left]:
        began = time.monotonic()
        for command in wanted[name][2]:
            run(command)
        print(f"{name}: {(time.monotonic() - began) / 60:.1f} min", flush=True)
    for command in TABLES:
        run(command)
    if left:
        sys.exit(f"left out, because what they need is not there: {', '.join(left)}")


main()
