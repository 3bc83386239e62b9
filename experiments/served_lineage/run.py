"""Does lineage find copies over HTTP, and does it accuse independent models?

Enrols the bundled model and a panel of independent models, then asks copies and independents over HTTP, some behind a proxy that samples
otherwise than it is told or puts a text before each prompt. A member of the panel is judged by the panel without it. Every bundle is
verified. Needs Python's standard library and `target/release/touchmark`.

    python3 experiments/served_lineage/run.py --models MODELS --tiny FOLDER --out experiments/served_lineage/results.json

MODELS is a folder of `sibling-16m`, `cousin-6m` and `student-…`; FOLDER one of models made by `experiments/fingerprint_models`.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from served import PREFIX, ROOT, probe, proxy, run, write

COPIES = {
    "int8": "int8",
    "int4": "int4=32",
    "pruned 30 %": "prune=0.3",
    "pruned 50 %": "prune=0.5",
    "noise": "noise=0.01",
    "merge 0.25 with sibling": "merge=0.25:SIBLING",
    "merge 0.5 with sibling": "merge=0.5:SIBLING",
    "permuted, rescaled": "permute rescale",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--tiny", type=pathlib.Path, required=True)
    parser.add_argument("--members", type=int, default=12, help="tiny models in the panel")
    parser.add_argument("--touchmark", default=ROOT / "target/release/touchmark")
    parser.add_argument("--alpha", default="0.01")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    write(run(options.touchmark, lambda machine: measure(machine, options)), options.out)


def measure(machine, options):
    base, sibling = ROOT / "models/scribe-16m", options.models / "sibling-16m"
    machine.run("profile", "new", "house", "--scheme", "kgw")
    copies = {"the same": base, "chat tune": ROOT / "models/scribe-16m-chat"}
    for name, how in COPIES.items():
        folder = name.replace(" ", "-")
        ways = [part for way in how.split() for part in ("--how", way.replace("SIBLING", str(sibling)))]
        machine.run("fingerprint", "derive", base, *ways, "-o", folder)
        copies[name] = machine.folder / folder
    members = {"sibling": ("same data", sibling), "cousin": ("same data", options.models / "cousin-6m")}
    tiny = sorted(path for path in options.tiny.iterdir() if (path / "config.json").exists())
    # Of both kinds.
    for path in tiny[: options.members // 2] + tiny[-(options.members - options.members // 2) :]:
        members[path.name] = ("other family", path)
    machine.run("fingerprint", "enroll", base, "-o", "base.json", "--parts", "lineage")
    for stratum, path in members.values():
        machine.run("fingerprint", "enroll", path, "--panel-for", "base.json", "--stratum", stratum, "-o", "panel.json")
    panel = json.loads((machine.folder / "panel.json").read_text())
    suspects = {name: ("copy", machine.serve(path)) for name, path in copies.items()}
    for name in ("the same", "chat tune"):
        for temperature in (0.7, 1.0):
            suspects[f"{name}, temperature {temperature}"] = ("copy", proxy(suspects[name][1], {"fields": {"temperature": temperature}}))
        suspects[f"{name}, hidden text"] = ("copy", proxy(suspects[name][1], {"prefix": PREFIX}))
        suspects[f"{name}, hidden text, no counts"] = ("copy", proxy(suspects[name][1], {"prefix": PREFIX, "uncounted": True}))
    for path in sorted(options.models.glob("student-*")):
        suspects[path.name] = ("student", machine.serve(path))
    for name, (_, path) in members.items():
        suspects[name] = ("independent", machine.serve(path))
    for name in ("sibling", "cousin"):
        suspects[f"{name}, hidden text"] = ("independent", proxy(suspects[name][1], {"prefix": PREFIX}))
        suspects[f"{name}, temperature 1.0"] = ("independent", proxy(suspects[name][1], {"fields": {"temperature": 1.0}}))
    rows = []
    for at, (name, (kind, suspect)) in enumerate(suspects.items()):
        own = name.split(",")[0]
        without = dict(panel, members=[member for member, key in zip(panel["members"], members) if key != own])
        (machine.folder / f"{at}.json").write_text(json.dumps(without))
        finding = probe(
            machine, f"bundle-{at}", suspect, "--enrolment", "base.json", "--test", "lineage", "--panel", f"{at}.json", "--level", options.alpha
        )
        details = finding["statistics"]
        rows.append({
            "suspect": name, "kind": kind, "verdict": finding["verdict"], "log10_p": finding.get("log10_p"), "queries": finding["n"],
            **{key: details.get(key) for key in ("agreement", "log10_p_paired", "log10_p_panel", "repeated_answered_otherwise")},
        })
        print(json.dumps(rows[-1]), file=sys.stderr)
    return {"alpha": float(options.alpha), "members": len(members), "suspects": rows}


main()
