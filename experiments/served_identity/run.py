"""How many one-token queries does it take to see over HTTP that another model answers?

Starts `touchmark serve` for the reference, for copies and for other models, enrols the reference anew for each repetition (other
prompts, other fresh answers), commits to a test of identity for each suspect and asks it over HTTP. Every bundle is verified. Some
suspects are the reference behind a proxy that samples otherwise than it is told, or puts a text before each prompt, and counts its
tokens or does not. Needs Python's standard library and `target/release/touchmark`.

    python3 experiments/served_identity/run.py --models MODELS --out experiments/served_identity/results.json

MODELS is a folder of `sibling-16m` and `cousin-6m`; the reference and its tune are the bundled models.
"""

import argparse
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from served import PREFIX, ROOT, probe, proxy, run, write


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=pathlib.Path, required=True)
    parser.add_argument("--touchmark", default=ROOT / "target/release/touchmark")
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--candidates", type=int, default=1000)
    parser.add_argument("--alternatives", default="sibling;int4, group 64", help="alternatives that are named, by semicolons")
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--skip-protocols", action="store_true")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    write(run(options.touchmark, lambda machine: measure(machine, options)), options.out)


def measure(machine, options):
    base = ROOT / "models/scribe-16m"
    machine.run("profile", "new", "house", "--scheme", "kgw")
    models = {
        "the same": base,
        "sibling": options.models / "sibling-16m",
        "cousin": options.models / "cousin-6m",
        "chat tune": ROOT / "models/scribe-16m-chat",
    }
    for name, how in {"int4, group 32": "int4=32", "int4, group 64": "int4=64", "int8": "int8"}.items():
        machine.run("fingerprint", "derive", base, "--how", how, "-o", how)
        models[name] = machine.folder / how
    suspects = {name: machine.serve(model) for name, model in models.items()}
    same = suspects["the same"]
    if not options.skip_protocols:
        for temperature in (0, 0.6, 0.9, 1.3):
            suspects[f"the same, temperature {temperature} whatever is asked"] = proxy(same, {"fields": {"temperature": temperature}})
        suspects["the same, top-p 0.95 whatever is asked"] = proxy(same, {"fields": {"top_p": 0.95}})
        suspects["the same, hidden text"] = proxy(same, {"prefix": PREFIX})
        suspects["the same, hidden text, no counts"] = proxy(same, {"prefix": PREFIX, "uncounted": True})
        suspects["the same, no counts"] = proxy(same, {"uncounted": True})
        suspects["sibling, no counts"] = proxy(suspects["sibling"], {"uncounted": True})
    alternatives = [name for name in options.alternatives.split(";") if name]
    named = [part for name in alternatives for part in ("--alternative", models[name])]
    strict = ["--strict"] if options.strict else []
    found = {name: [] for name in suspects}
    for repeat in range(options.repeats):
        enrolment = f"{repeat}.json"
        machine.run(
            "fingerprint", "enroll", base, "-o", enrolment, "--parts", "identity", "--seed", repeat + 1,
            "--candidates", options.candidates, *named, *strict,
        )
        for at, (name, suspect) in enumerate(suspects.items()):
            finding = probe(machine, f"{repeat}-{at}", suspect, "--enrolment", enrolment, "--test", "identity")
            found[name].append({"verdict": finding["verdict"], "queries": finding["n"]})
    rows = {name: row(runs) for name, runs in found.items()}
    return {"alternatives": alternatives, "strict": options.strict, "alpha": 0.01, "repeats": options.repeats, "suspects": rows}


def row(runs):
    verdicts = [run["verdict"] for run in runs]
    changed = [run["queries"] for run in runs if run["verdict"] == "changed"]
    counts = {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts))}
    # A run that saw nothing took more queries than any.
    order = sorted(changed) + [None] * (len(runs) - len(changed))
    median = order[(len(order) - 1) // 2]
    return {"verdicts": counts, "median_queries_to_changed": median, "most": max(changed, default=None), "queries": changed}


main()
