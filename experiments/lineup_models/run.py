"""A line-up of real models: copies of the bundled model, its tune, and models that are no copies, by weights and by lineage.

Needs Python's standard library and `target/release/touchmark`; prints the table of `touchmark fingerprint lineup`.

    python3 experiments/lineup_models/run.py --models MODELS --tiny FOLDER > experiments/lineup_models/results.txt

MODELS is a folder of `sibling-16m`, `cousin-6m` and `student-…`; FOLDER one of models made by `experiments/fingerprint_models`. The panel
of the test of lineage is `cousin-6m` and half of the small models; they stand in no line-up.
"""

import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from served import ROOT, run

COPIES = {
    "int8": ["int8"],
    "int4": ["int4"],
    "bf16": ["bf16"],
    "pruned 30 %": ["prune=0.3"],
    "pruned 50 %": ["prune=0.5"],
    "pruned 2:4": ["prune=2:4"],
    "noise": ["noise=0.01"],
    "merge 0.25": ["merge=0.25:SIBLING"],
    "merge 0.5": ["merge=0.5:SIBLING"],
    "permuted, rescaled": ["permute", "rescale"],
    "all symmetries": ["permute", "permute-heads", "rescale", "signs", "rotate"],
    "two layers dropped": ["drop=3,5"],
    "vocabulary extended": ["extend=64"],
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--tiny", type=pathlib.Path, required=True)
    parser.add_argument("--touchmark", default=ROOT / "target/release/touchmark")
    options = parser.parse_args()
    print(run(options.touchmark, lambda machine: measure(machine, options)))


def measure(machine, options):
    base, tune = ROOT / "models/scribe-16m", ROOT / "models/scribe-16m-chat"
    sibling = options.models / "sibling-16m"
    suspects = [(tune, "related", "chat tune")]
    for kind, ways in COPIES.items():
        folder = kind.replace(" ", "-")
        how = [part for way in ways for part in ("--how", way.replace("SIBLING", str(sibling)))]
        machine.run("fingerprint", "derive", base, *how, "-o", folder)
        suspects.append((machine.folder / folder, "related", kind))
    machine.run("fingerprint", "derive", tune, "--how", "int4", "-o", "tune-int4")
    suspects.append((machine.folder / "tune-int4", "related", "chat tune, int4"))
    tiny = sorted(path for path in options.tiny.iterdir() if (path / "config.json").exists())
    suspects.append((sibling, "independent", "sibling"))
    suspects += [(path, "independent", "student") for path in sorted(options.models.glob("student-*"))]
    suspects += [(path, "independent", "small") for path in tiny[::2]]
    members = [("same data", options.models / "cousin-6m")] + [("other family", path) for path in tiny[1::2]]
    machine.run("fingerprint", "enroll", base, "-o", "base.json", "--parts", "lineage")
    for stratum, path in members:
        machine.run("fingerprint", "enroll", path, "--panel-for", "base.json", "--stratum", stratum, "-o", "panel.json")
    machine.run("bundle", "commit", "--enrolment", "base.json", "--test", "lineage", "--panel", "panel.json", "-o", "lineage")
    lines = [f"reference = {json.dumps(str(base))}", 'plans = ["lineage"]']
    for path, truth, stratum in suspects:
        lines += ["[[suspect]]", f"model = {json.dumps(str(path))}", f'truth = "{truth}"', f'stratum = "{stratum}"']
    (machine.folder / "people.toml").write_text("\n".join(lines) + "\n")
    return machine.run("fingerprint", "lineup", "people.toml")


main()
