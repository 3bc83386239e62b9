"""Writes the manual's tables from the experiments' results: src/manual/power.md and src/manual/key_spread.md.
Run after an experiment: python3 experiments/tables.py. No number in them is typed by hand."""

import json
import pathlib

root = pathlib.Path(__file__).resolve().parent
manual = root.parent / "src/manual"


def power():
    rows = json.loads((root / "power/results.json").read_text())["rows"]
    lengths = sorted({row["tokens"] for row in rows})
    names = list(dict.fromkeys(row["scheme"] for row in rows))
    at = {(row["scheme"], row["tokens"]): row for row in rows}
    head = " | ".join(f"{length} tokens" for length in lengths)
    lines = [f"| median log10 p (detected at 10⁻⁶) | {head} |", "|---|" + "---:|" * len(lengths)]
    for name in names:
        cells = [
            f"{at[name, length]['median_log10_p']:.1f} ({100 * at[name, length]['detected_at_1e-6']:.1f} %)"
            for length in lengths
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    (manual / "power.md").write_text("\n".join(lines) + "\n")


def key_spread():
    results = json.loads((root / "key_spread/results.json").read_text())
    lines = ["| scheme | mean over keys | 95 % of keys | worst key |", "|---|---:|---:|---:|"]
    for row in results["rows"]:
        mean, low, high, worst = (100 * row[name] for name in ("mean", "low", "high", "worst"))
        lines.append(f"| {row['scheme']} | {mean:.2f} % | {low:.2f} to {high:.2f} % | {worst:.2f} % |")
    (manual / "key_spread.md").write_text("\n".join(lines) + "\n")


power()
key_spread()
