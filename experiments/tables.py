"""Writes the tables of the manual (src/manual/power.md, key_spread.md, peer_rates.md, decode_peers.md) and of the README from the experiments' results.
Run after an experiment: python3 experiments/tables.py. No number in them is typed by hand."""

import json
import pathlib

root = pathlib.Path(__file__).resolve().parent
manual = root.parent / "src/manual"


def power(rows, names):
    lengths = sorted({row["tokens"] for row in rows})
    at = {(row["scheme"], row["tokens"]): row for row in rows}
    head = " | ".join(f"{length} tokens" for length in lengths)
    lines = [f"| median log10 p (detected at 10⁻⁶) | {head} |", "|---|" + "---:|" * len(lengths)]
    for name in names:
        cells = [
            f"{at[name, length]['median_log10_p']:.1f} ({100 * at[name, length]['detected_at_1e-6']:.1f} %)"
            for length in lengths
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def key_spread():
    results = json.loads((root / "key_spread/results.json").read_text())
    lines = ["| scheme | mean over keys | 95 % of keys | worst key |", "|---|---:|---:|---:|"]
    for row in results["rows"]:
        mean, low, high, worst = (100 * row[name] for name in ("mean", "low", "high", "worst"))
        lines.append(f"| {row['scheme']} | {mean:.2f} % | {low:.2f} to {high:.2f} % | {worst:.2f} % |")
    (manual / "key_spread.md").write_text("\n".join(lines) + "\n")


def peer_rates():
    """Realised rates of p <= 0.001 by kind of text; what exceeds any level by more than chance is marked."""
    results = json.loads((root / "peer_p_values/results.json").read_text())
    rows = [row for row in results["rows"] if not row["rule"] and row["pairs"] == results["rows"][0]["pairs"]]
    sets = list(dict.fromkeys(row["texts"] for row in rows))
    at = {(row["evidence"], row["tool"], row["statistic"], row["texts"]): row for row in rows}
    lines = [f"| tool | p-value | {' | '.join(sets)} |", "|---|---|" + "---:|" * len(sets)]
    for evidence, tool, statistic in dict.fromkeys(key[:3] for key in at):
        cells = []
        for texts in sets:
            row = at[evidence, tool, statistic, texts]
            rate = next(rate["rate"] for rate in row["rates"] if rate["nominal"] == 1e-3)
            cells.append(f"{100 * rate:.3f} %" + (" ×" if row["exceeds"] else ""))
        lines.append(f"| {tool} | {statistic} ({evidence}) | " + " | ".join(cells) + " |")
    (manual / "peer_rates.md").write_text("\n".join(lines) + "\n")


rows = json.loads((root / "power/results.json").read_text())["rows"]
(manual / "power.md").write_text(power(rows, list(dict.fromkeys(row["scheme"] for row in rows))))
readme = root.parent / "README.md"
before, rest = readme.read_text().split("<!-- power -->\n", 1)
after = rest.split("<!-- /power -->", 1)[1]
chosen = ["kgw h=2 (default)", "unigram", "sweet 0.9 nats", "gumbel h=4", "synthid m=30"]
readme.write_text(before + "<!-- power -->\n" + power(rows, chosen) + "<!-- /power -->" + after)
(manual / "decode_peers.md").write_text((root / "decode_peers/results.md").read_text())
key_spread()
peer_rates()
