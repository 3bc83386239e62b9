"""Writes src/manual/performance.md from criterion's results under target/criterion (run `cargo bench` first).
Medians; every figure of one table comes from one run on one machine."""

import json
import pathlib

root = pathlib.Path(__file__).resolve().parent.parent
found = {}
for path in (root / "target/criterion").glob("**/new/benchmark.json"):
    info = json.loads(path.read_text())
    seconds = json.loads((path.parent / "estimates.json").read_text())["median"]["point_estimate"] * 1e-9
    elements = (info.get("throughput") or {}).get("Elements")
    name = info["function_id"] or info["value_str"]
    found[info["group_id"], name] = (seconds, elements)


def rates(group, unit, scale, names=None):
    lines = [f"| {group} | {unit} |", "|---|---:|"]
    for (of, name), (seconds, elements) in sorted(found.items()):
        if of == group and elements:
            lines.append(f"| {name} | {elements / seconds / scale:,.1f} |")
    return lines


def steps():
    names = ["none", "kgw h=2", "kgw self h=4", "unigram", "sweet h=2", "gumbel h=4", "synthid m=30"]
    groups = [f"step, V = {size}, top-k {top_k}" for size in (8192, 32000, 152000) for top_k in (0, 100)]
    head = [group.removeprefix("step, ").replace("top-k 0", "all") for group in groups]
    lines = ["| µs a step | " + " | ".join(head) + " |", "|---|" + "---:|" * len(groups)]
    for name in names:
        cells = [f"{found[group, name][0] * 1e6:,.0f}" for group in groups]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


def overhead():
    """From the difference of two steps, which a machine's drift between two decode runs cannot hide."""
    seconds, tokens = found["decode, one sequence, one thread, top-k 0", "none"]
    lines = ["| what a mark adds to a token of the bundled model | all tokens | top-k 100 |", "|---|---:|---:|"]
    for name in ["kgw h=2", "kgw self h=4", "unigram", "gumbel h=4", "synthid m=30"]:
        cells = []
        for top_k in (0, 100):
            group = f"step, V = 8192, top-k {top_k}"
            added = found[group, name][0] - found[group, "none"][0]
            cells.append(f"{100 * added / (seconds / tokens):+.1f} %")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


tables = [
    rates("score", "million tokens/s, one core", 1e6),
    rates("prf", "million words/s, one core", 1e6),
    steps(),
    overhead(),
    rates("decode, without a mark", "tokens/s", 1),
]
(root / "src/manual/performance.md").write_text("\n\n".join("\n".join(table) for table in tables) + "\n")
