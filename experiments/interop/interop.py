"""Marks of one tool read by another: the table of README.md. Run by run.py.

Every tool reads every text; where both sides know the mark, what they say of the same ids is compared number by number.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import sys

import torch
import transformers

import peers
from touchmark import MODEL, ROOT, SEED, Touchmark

HERE = pathlib.Path(__file__).resolve().parent
CACHE = pathlib.Path(os.environ["INTEROP_CACHE"])
TEXTS = ROOT / "tests/it/golden/peers/texts"
NEW_TOKENS = 200
RATE = 1e-6
WHOLE = "an answer from its first token on"

# name: (the tool, as `profile import` calls it; the configuration; what the configuration leaves open)
MARKS = {
    "vllm_gumbel": ("vllm", "vllm_gumbel.watermark_config.json", []),
    "vllm_dual_key_gumbel": ("vllm", "vllm_dual_key_gumbel.watermark_config.json", []),
    "sglang_gumbel": ("sglang", "sglang_gumbel.watermark_config.json", []),
    "sglang_two_keys": ("sglang", HERE / "sglang_two_keys.watermark_config.json", []),
    "hf_kgw_lefthash": ("transformers", "hf_kgw_lefthash/watermarking_config.json", ["--device", "cpu"]),
    "hf_kgw_selfhash": ("transformers", "hf_kgw_selfhash/watermarking_config.json", ["--device", "cpu"]),
    "hf_synthid_9": ("transformers", "hf_synthid_9/watermarking_config.json", ["--device", "cpu"]),
    "hf_synthid_30": ("transformers", "hf_synthid_30/watermarking_config.json", ["--device", "cpu"]),
    "synthid_iv": ("synthid", "synthid_iv.json", ["--hash", "iv"]),
}
CONTROLS = ("unmarked", "human")


def config_of(mark):
    return TEXTS / "configs" / MARKS[mark][1]


def detector_of(mark, model_config):
    """The tool's own, or nothing where its code is not there."""
    tool, _, _ = MARKS[mark]
    config = json.loads(config_of(mark).read_text())
    if tool == "vllm":
        return peers.Vllm(config)
    if tool == "sglang":
        return peers.Sglang(config)
    if tool == "synthid":
        return peers.SynthId(config, "head") if peers.SYNTHID_HEAD.exists() else None
    return peers.SynthId(config, "package") if "keys" in config else peers.Kgw(config, model_config)


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


class Texts:
    """The texts of one row of the table: who marked them, how, and what is read of them."""

    def __init__(self, name, mark, marker, rows, tokenizer):
        self.name, self.mark, self.marker = name, mark, marker
        self.rows = [
            {
                "id": f"{name}:{row['id']}", "prompt": row["prompt"], "text": row["text"], "ids": row["ids"],
                "prompt_ids": tokenizer(row["prompt"], add_special_tokens=False)["input_ids"],
                "text_ids": tokenizer(row["text"], add_special_tokens=False)["input_ids"],
            }
            for row in rows
        ]


def by_touchmark(touchmark, mark, prompts, tokenizer):
    output = CACHE / f"touchmark-{mark}.jsonl"
    touchmark.generate(mark, prompts, output)
    return Texts(f"touchmark {mark}", mark, "Touchmark", lines(output), tokenizer)


def by_transformers(model, mark, rows, tokenizer):
    config = json.loads(config_of(mark).read_text())
    config.pop("debug_mode", None)
    kind = transformers.SynthIDTextWatermarkingConfig if "keys" in config else transformers.WatermarkingConfig
    torch.manual_seed(SEED)
    ids = torch.tensor([row["prompt_ids"] for row in rows])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=True, temperature=1.0, top_k=0, top_p=1.0,
        max_new_tokens=NEW_TOKENS, min_new_tokens=NEW_TOKENS, suppress_tokens=[0, 1, 2, 3], watermarking_config=kind(**config),
    )[:, ids.shape[1]:].tolist()
    texts = tokenizer.batch_decode(out, clean_up_tokenization_spaces=False)
    made = [
        {"id": row["id"], "prompt": row["prompt"], "ids": ids, "text": text}
        for row, ids, text in zip(rows, out, texts, strict=True)
    ]
    return Texts(f"transformers {mark}", mark, f"transformers {transformers.__version__}", made, tokenizer)


def kept(mark, tokenizer):
    """Texts that the tools' own code marked and that are kept with the tests."""
    made_by = {"vllm": "vLLM 0.33.0", "sglang": "SGLang 0.5.23", "transformers": "transformers 5.17.0"}
    marker = made_by.get(MARKS[mark][0], "synthid-text addb4a1") if mark in MARKS else "nobody"
    return Texts(f"kept {mark}", mark, marker, lines(TEXTS / f"{mark}.jsonl"), tokenizer)


def all_texts(touchmark, number, tokenizer):
    sources = [row for control in CONTROLS for row in lines(TEXTS / f"{control}.jsonl")][:number]
    prompts = CACHE / "prompts.jsonl"
    prompts.write_text("".join(json.dumps({"id": row["id"], "prompt": row["prompt"]}) + "\n" for row in sources))
    model = transformers.AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32).eval()
    for mark, (tool, _, _) in MARKS.items():
        say(f"marking: {mark}")
        yield by_touchmark(touchmark, mark, prompts, tokenizer)
        if tool == "transformers":
            yield by_transformers(model, mark, sources, tokenizer)
        if (TEXTS / f"{mark}.jsonl").exists():
            yield kept(mark, tokenizer)
    for control in CONTROLS:
        yield kept(control, tokenizer)


def say(line):
    print(line, file=sys.stderr, flush=True)


def written(texts):
    file = CACHE / "all.jsonl"
    rows = (json.dumps(row) for group in texts for row in group.rows)
    file.write_text("".join(row + "\n" for row in rows))
    return file


def found_by_touchmark(touchmark, texts):
    """What it says with each profile, of ids, of text, and of ids with the prompt known; and with all profiles."""
    file = written(texts)
    answers = {}
    for mark in MARKS:
        say(f"touchmark reads: {mark}")
        for reading, more in (
            ("ids", ["--tokens-field", "ids"]),
            ("text", []),
            ("ids, prompt known", ["--tokens-field", "ids", "--prompt-field", "prompt"]),
        ):
            rows = touchmark.detect(mark, file, "--fpr", RATE, *more)
            answers[mark, reading] = {name: row for (name, _), row in rows.items()}
    return answers, touchmark.detect("all", file, "--fpr", RATE)


def found_by_tools(detectors, texts):
    answers = {}
    for mark, detector in detectors.items():
        say(f"its own tool reads: {mark}")
        answers[mark, "ids"] = {
            row["id"]: detector(row["ids"], fully=group.mark == mark) for group in texts for row in group.rows
        }
        for reading, ids, prompt in (("text", "text_ids", None), ("ids, prompt known", "ids", "prompt_ids")):
            own = (row for group in texts if group.mark == mark for row in group.rows)
            answers[mark, reading] = {row["id"]: detector(row[ids], row.get(prompt)) for row in own}
    return answers


def detected_by_tool(answer):
    return answer["log10_p"] <= math.log10(RATE)


def detected_by_us(answer):
    return answer["verdict"] == "detected"


def counted(group, answers, detected):
    return sum(detected(answers[row["id"]]) for row in group.rows)


def agreement(group, reading, tool, ours):
    """How many texts both sides count alike, and how far their numbers lie apart.

    Of transformers' two ways of counting the one that counts an n-gram once is compared. A text of unknown beginning may be
    read here as a whole answer, with more tokens than the tool has: these are not compared.
    """
    once = "_once" if "kgw" in group.mark else ""
    whole, same, apart, scores, logs = 0, 0, 0, [], []
    for row in group.rows:
        theirs, own = tool[group.mark, reading][row["id"]], ours[group.mark, reading][row["id"]]
        difference = own["tokens_scored"] - theirs["scored" + once]
        if "prompt" not in reading and own["reading"] == WHOLE:
            whole += 1
            continue
        apart = max(apart, abs(difference))
        if difference == 0:
            same += 1
            mean = theirs["mean"] if "mean" in theirs else theirs["score" + once] / max(theirs["scored" + once], 1)
            scores.append(own["score"] - mean)
            logs.append(own["log10_p"] - theirs["log10_p" + once])
    return {
        "texts": len(group.rows), "read_as_whole_answer": whole, "counts_equal": same, "largest_count_difference": apart,
        "mean_score_ours_minus_theirs": [min(scores), max(scores)] if scores else None,
        "log10_p_ours_minus_theirs": [min(logs), max(logs)] if logs else None,
    }


def result(texts, detectors, tool, ours, everything):
    rows = []
    for group in texts:
        row = {"mark": group.mark, "marked_by": group.marker, "texts": len(group.rows)}
        row["tools_on_ids"] = {mark: counted(group, tool[mark, "ids"], detected_by_tool) for mark in detectors}
        row["touchmark_on_ids"] = {mark: counted(group, ours[mark, "ids"], detected_by_us) for mark in MARKS}
        row["touchmark_on_text"] = {mark: counted(group, ours[mark, "text"], detected_by_us) for mark in MARKS}
        best = [min(MARKS, key=lambda mark: everything[text["id"], mark]["log10_p_corrected"]) for text in group.rows]
        found = [detected_by_us(everything[text["id"], mark]) for text, mark in zip(group.rows, best)]
        row["touchmark_all_profiles_on_text"] = {
            "detected": sum(found),
            "with_the_right_profile": sum(mark == group.mark and hit for mark, hit in zip(best, found)),
        }
        if group.mark in detectors:
            row["tool_on_text"] = counted(group, tool[group.mark, "text"], detected_by_tool)
            default = [tool[group.mark, "ids"][text["id"]]["own"] for text in group.rows]
            row["tool_on_ids_by_its_own_threshold"] = None if None in default else sum(default)
            readings = ("ids", "text", "ids, prompt known") if "sglang" in group.mark else ("ids", "text")
            row["agreement"] = {reading: agreement(group, reading, tool, ours) for reading in readings}
        rows.append(row)
    return rows


def table(head, rows):
    yield "| " + " | ".join(head) + " |"
    yield "|---|---|---:|" + "---:|" * (len(head) - 3)
    for row in rows:
        yield "| " + " | ".join(map(str, row)) + " |"


def spread(pair):
    if pair is None:
        return "–"
    low, high = (f"{value:+.2g}" if abs(value) > 1e-9 else "0" for value in pair)
    return low if low == high else f"{low} … {high}"


def markdown(results):
    rows, detectors = results["rows"], results["detectors"]
    start = lambda row: [row["mark"], row["marked_by"], row["texts"]]
    yield f"Written by interop.py on {results['date']}; versions: " + ", ".join(
        f"{name} {version}" for name, version in results["versions"].items()
    ) + f". Texts detected at p ≤ {RATE:g}; seed {SEED}.\n"
    yield "## The other tools' own detectors, on ids\n"
    cells = [start(row) + list(row["tools_on_ids"].values()) for row in rows]
    yield from table(["mark", "marked by", "texts", *detectors], cells)
    yield "\n## Touchmark, one profile at a time, on ids; and with all profiles, on the text alone\n"
    named = lambda row: row["touchmark_all_profiles_on_text"]
    cells = [
        start(row) + list(row["touchmark_on_ids"].values()) + [named(row)["detected"], named(row)["with_the_right_profile"]]
        for row in rows
    ]
    yield from table(["mark", "marked by", "texts", *MARKS, "all", "of them with the right profile"], cells)
    yield "\n## Both sides on the same texts\n"
    cells = []
    for row in rows:
        for reading, found in row.get("agreement", {}).items():
            cells.append(start(row) + [
                reading, found["counts_equal"], found["read_as_whole_answer"], found["largest_count_difference"],
                spread(found["mean_score_ours_minus_theirs"]), spread(found["log10_p_ours_minus_theirs"]),
            ])
    head = [
        "mark", "marked by", "texts", "read", "counts equal", "read as whole answers", "else at most apart by",
        "mean score, ours − theirs", "log10 p, ours − theirs",
    ]
    yield from table(head, cells)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--texts", type=int, default=16, help="prompts that Touchmark and transformers continue, at most 32")
    parser.add_argument("--marks", help="only these marks, separated by commas")
    options = parser.parse_args()
    for mark in set(MARKS) - set((options.marks or ",".join(MARKS)).split(",")):
        del MARKS[mark]
    torch.set_num_threads(1)
    tokenizer = transformers.AutoTokenizer.from_pretrained(MODEL)
    model_config = transformers.AutoConfig.from_pretrained(MODEL)
    touchmark = Touchmark(CACHE)
    for mark, (tool, _, more) in MARKS.items():
        touchmark.profile(mark, tool, config_of(mark), *more)
    texts = list(all_texts(touchmark, options.texts, tokenizer))
    detectors = {mark: detector_of(mark, model_config) for mark in MARKS}
    detectors = {mark: detector for mark, detector in detectors.items() if detector}
    ours, everything = found_by_touchmark(touchmark, texts)
    results = {
        "date": datetime.date.today().isoformat(),
        "versions": {"touchmark": touchmark.version(), **peers.versions()},
        "rate": RATE, "seed": SEED, "new_tokens": NEW_TOKENS, "detectors": list(detectors),
        "rows": result(texts, detectors, found_by_tools(detectors, texts), ours, everything),
    }
    folder = HERE / "results"
    folder.mkdir(exist_ok=True)
    (folder / "interop.json").write_text(json.dumps(results, indent=1) + "\n")
    text = "\n".join(markdown(results)) + "\n"
    (folder / "interop.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
