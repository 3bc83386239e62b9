"""Compares what marks cost now with what they cost when small.json was made.

Run: cargo build --release && python3 experiments/harness/compare.py

Machines differ, and what else they do: ratios within one run are compared, and only what is far off is a fault. Exit code 1 says so.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE.parents[1] / "target/release/touchmark"
# Greatest part of before by which writing with a mark may be slower, and reading.
WRITING, READING = 1.5, 3.0


def costs(results):
    """Seconds of writing with each mark over seconds without, and tokens read a second over tokens written without."""
    rows = results["results"]["cost"]
    plain = next(row for row in rows if row["scheme"] == "unmarked")["written_per_second"]
    marked = [row for row in rows if row["scheme"] != "unmarked"]
    return {row["scheme"]: (row["writing_ratio"], row["scored_per_second"] / plain) for row in marked}


def main():
    before = costs(json.loads((HERE / "small.json").read_text()))
    with tempfile.TemporaryDirectory() as folder:
        command = [PROGRAM, "bench", "run", HERE / "small.toml", "-o", folder, "--threads", "1", "--quiet"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        now = costs(json.loads((pathlib.Path(folder) / "results.json").read_text()))
    slower = []
    for scheme, (writing, reading) in now.items():
        was_writing, was_reading = before[scheme]
        print(f"{scheme}: writing {writing:.2f} of unmarked (was {was_writing:.2f}); {reading:,.0f} tokens read a token written (was {was_reading:,.0f})")
        if writing > WRITING * was_writing:
            slower.append(f"writing with {scheme}")
        if reading < was_reading / READING:
            slower.append(f"reading {scheme}")
    if slower:
        sys.exit(f"slower than allowed: {', '.join(slower)}")


main()
