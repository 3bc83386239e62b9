"""Writes the paper's tables, pictures and numbers from the experiments' results, so that none of them is typed by hand.

Run: python3 paper/generate.py            writes paper/generated/
     python3 paper/generate.py --check    says, with exit code 1, which of them are not what the results give
"""

import json
import math
import pathlib
import re
import sys

PAPER = pathlib.Path(__file__).resolve().parent
EXPERIMENTS = PAPER.parent / "experiments"
FOLDER = PAPER / "generated"
SPECIAL = {
    "&": r"\&", "%": r"\%", "#": r"\#", "_": r"\_", "γ": r"$\gamma$", "δ": r"$\delta$", "α": r"$\alpha$", "²": "$^2$",
    "≤": r"$\le$", "½": "½", "¼": "¼", "−": "$-$", "⁻": "$^-$", "×": r"$\times$", "log10": r"$\log_{10}$",
}


def read(path):
    return json.loads((EXPERIMENTS / path).read_text())


def lines(path):
    return [json.loads(line) for line in (EXPERIMENTS / path).read_text().splitlines()]


def tex(text):
    return re.sub("|".join(map(re.escape, SPECIAL)), lambda found: SPECIAL[found.group()], str(text))


def percent(share, digits=1):
    return rf"{100 * share:.{digits}f}\,\%"


def power_of_ten(rate):
    exponent = round(math.log10(rate))
    return f"10^{{{exponent}}}"


def signed(value, digits=1):
    """With a minus sign, and never a minus nought."""
    text = f"{value:.{digits}f}"
    return f"${'0' if float(text) == 0 else text}$"


def counted(number):
    return f"{number:,}".replace(",", r"\,")


def table(columns, head, rows):
    """Bare tabular; captions are the paper's."""
    yield rf"\begin{{tabular}}{{{columns}}}"
    yield r"\toprule"
    yield " & ".join(head) + r" \\"
    yield r"\midrule"
    for row in rows:
        yield r"\midrule" if row is None else " & ".join(row) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"


LOOKS = (
    r" legend pos=outer north east, legend style={font=\footnotesize}, legend cell align=left,"
    r" cycle list name=touchmark, grid=major, grid style={gray!20}"
)


def plot(options, lines_by_name):
    """Lines of points by name, in one set of axes."""
    yield r"\begin{tikzpicture}"
    yield rf"\begin{{axis}}[{options}{LOOKS}]"
    for name, points in lines_by_name.items():
        where = " ".join(f"({x:g},{y:.4g})" for x, y in points)
        yield rf"\addplot coordinates {{{where}}}; \addlegendentry{{{name}}}"
    yield r"\end{axis}"
    yield r"\end{tikzpicture}"


# Tables


SCHEMES = ["kgw h=2 (default)", "kgw self h=4", "unigram", "sweet 0.9 nats", "gumbel h=4", "synthid m=30"]


def power():
    results = read("power/results.json")
    at = {(row["scheme"], row["tokens"]): row for row in results["rows"]}
    lengths = sorted({tokens for _, tokens in at})
    cell = lambda row: f"{signed(row['median_log10_p'])} ({percent(row['detected_at_1e-6'])})"
    rows = [[tex(name), *(cell(at[name, tokens]) for tokens in lengths)] for name in SCHEMES]
    return table("l" + "r" * len(lengths), ["scheme", *(f"{tokens} tokens" for tokens in lengths)], rows)


def power_picture():
    results = read("power/results.json")
    of = lambda name: [(row["tokens"], -row["median_log10_p"]) for row in results["rows"] if row["scheme"] == name]
    options = (
        r"width=0.75\linewidth, height=6.5cm, xmode=log, ymode=log, xtick={50,100,200,400}, xticklabels={50,100,200,400},"
        r" ytick={5,10,20,50,100,200}, yticklabels={5,10,20,50,100,200}, xlabel={tokens}, ylabel={median of $-\log_{10} p$},"
    )
    return plot(options, {tex(name): of(name) for name in SCHEMES})


PEERS = [
    ("transformers", "own formula, repeats counted", "green lists, γ = ¼, h = 1"),
    ("lm-watermarking", "normal tail", "green lists, γ = ¼, h = 1"),
    ("lm-watermarking", "normal tail of the best window", "green lists, γ = ¼, h = 1"),
    ("MarkLLM KGW", "normal tail, repeats counted", "green lists, γ = ½, h = 1"),
    ("MarkLLM EXP", "gamma, repeats counted", "exponential, h = 4"),
    ("MarkLLM DiP", "z read as normal", "upper half of a permutation, h = 5"),
    ("MPAC", "normal tail of the decoded message", "four colours, four digits, h = 2"),
    ("Unigram-Watermark", "normal tail, repeats counted", "one green list, γ = ½"),
    ("vLLM gumbel", "gamma", "vLLM's own function, h = 4"),
    ("vLLM dual_key_gumbel", "moment-matched gamma", "vLLM's own function, two keys, α = 0.1, h = 4"),
    ("SGLang", "combined", "SGLang's own function, two keys, P = ½, h = 4"),
    ("SGLang", "least of combined, A and B", "SGLang's own function, two keys, P = ½, h = 4"),
    ("TextSeal", "lesser of gamma and weighted gamma, v2", "exponential in 8,191 levels, h = 1"),
    ("three_bricks", "binomial, repeats counted (default)", "green lists, γ = ½, h = 1"),
]
TEXTS = {
    "human text, 50 tokens": "human, 50", "human text, 200 tokens": "human, 200", "human text, 1000 tokens": "human, 1000",
    "repetitive text, 400 tokens": "repetitive, 400",
}


def calibration():
    results = read("peer_p_values/results.json")
    at = {(row["tool"], row["statistic"], row["evidence"], row["texts"]): row for row in results["rows"]}

    def cell(row):
        rate = next(rate["rate"] for rate in row["rates"] if rate["nominal"] == 1e-3)
        return percent(rate, 3) + (r"\,$\times$" if row["exceeds"] else "")

    def row(key):
        tool, statistic, _ = key
        return [tex(tool), tex(statistic), *(cell(at[(*key, texts)]) for texts in TEXTS)]

    ours = sorted({key[:3] for key in at if key[0] == "touchmark" and (*key[:3], "human text, 50 tokens") in at}, key=str)
    own = [["Touchmark", f"{tex(key[1])}; {tex(key[2])}", *(cell(at[(*key, texts)]) for texts in TEXTS)] for key in ours]
    return table("ll" + "r" * len(TEXTS), ["tool", "p-value", *TEXTS.values()], [*map(row, PEERS), None, *own])


def key_spread():
    rows = [
        [tex(row["scheme"]), *(percent(row[name], 2) for name in ("mean", "low", "high", "worst"))]
        for row in read("key_spread/results.json")["rows"]
    ]
    return table("lrrrr", ["scheme", "mean over keys", r"2.5\,\% of keys below", r"97.5\,\% below", "worst key"], rows)


def interop():
    results = read("interop/results/interop.json")
    rows = []
    for row in results["rows"]:
        own = row["tools_on_ids"].get(row["mark"])
        others = sum(found for mark, found in row["tools_on_ids"].items() if mark != row["mark"])
        ours = row["touchmark_on_ids"].get(row["mark"])
        named = row["touchmark_all_profiles_on_text"]["with_the_right_profile"]
        none = "--"
        rows.append([
            rf"\texttt{{{tex(row['mark'])}}}", tex(row["marked_by"]), str(row["texts"]), none if own is None else str(own),
            str(others), none if ours is None else str(ours), none if ours is None else str(named),
        ])
    head = ["mark", "marked by", "texts", "its tool", "other tools", "Touchmark", "right profile"]
    return table("llrrrrr", head, rows)


def peers():
    results = read("peers/results.json")
    rows = []
    for row in results["rows"]:
        # The shortest texts: nearly all of the longer ones are found by everybody.
        length = row["lengths"][0]
        own, ours = length["own"], length["touchmark"]
        p = lambda side: "--" if side["marked_at_p"] is None else percent(side["marked_at_p"])
        rows.append([
            tex(row["tool"]), tex(row["mark"]), p(own), p(ours), percent(own["power"]), percent(ours["power"]),
            rounded(row["own_tokens_per_second"]), rounded(row["touchmark_tokens_per_second"]),
            counted(round(row["touchmark_tokens_per_second"] / row["own_tokens_per_second"])),
            rounded(row["whole_program_tokens_per_second"]),
        ])
    head = [
        "tool", "mark", "its $p$", "our $p$", "its power", "our power", "its tokens/s", "ours", "ratio", "whole program",
    ]
    return table("llrrrrrrrr", head, rows)


def rounded(value):
    """To three digits."""
    return counted(int(round(value, 2 - int(math.log10(value)))))


def harness():
    return read("harness/full.json")["results"]


def found(row, rate):
    return next(level["found"]["rate"] for level in row["levels"] if math.isclose(level["fpr"], rate))


RATE = 1e-5


def robustness():
    power = harness()["power"]
    # Of the first sampling, and of one look at the whole text.
    rows = [row for row in power if row["sampling"] == power[0]["sampling"] and row["detector"] == "whole"]
    tokens = max(row["tokens"] for row in rows if row["attack"] != "none")
    rows = [row for row in rows if row["tokens"] == tokens]
    schemes = list(dict.fromkeys(row["scheme"] for row in rows))
    at = {(row["attack"], row["strength"], row["scheme"]): row for row in rows}
    attacks = sorted({key[:2] for key in at}, key=lambda attack: (attack[0] != "none", attack))
    body = [
        [tex(attack), percent(strength, 0) if strength else "", *(percent(found(at[attack, strength, name], RATE), 0) for name in schemes)]
        for attack, strength in attacks
    ]
    return table("lr" + "r" * len(schemes), ["attack", "strength", *map(tex, schemes)], body)


def signs():
    rows = read("harness/while_writing.json")["results"]["power"]
    schemes, samplings = (list(dict.fromkeys(row[name] for row in rows)) for name in ("scheme", "sampling"))
    at = {(row["scheme"], row["sampling"]): row for row in rows}
    body = [[tex(name), *(percent(found(at[scheme, name], RATE), 0) for scheme in schemes)] for name in samplings]
    return table("l" + "r" * len(schemes), ["a sign", *map(tex, schemes)], body)


def quality():
    usual = harness()["quality"]
    # What the first file has by default stands in the second under another name.
    repeats = read("harness/repeats.json")
    rules = {scheme["name"]: scheme["repeats"] for scheme in repeats["plan"]["scheme"]}
    once = [
        row | {"scheme": f"{row['scheme']}, score-once"}
        for row in repeats["results"]["quality"] if rules.get(row["scheme"]) == "score-once"
    ]
    # Those of one sampling stand together, in the order of the first file.
    samplings = list(dict.fromkeys(row["sampling"] for row in usual))
    measured = sorted([*usual, *once], key=lambda row: samplings.index(row["sampling"]))
    rows = []
    for row in measured:
        mean = row["mean"]
        difference = row["loss_difference"]
        rows.append([
            tex(row["scheme"]), tex(row["sampling"]), f"{math.exp(mean['loss']):.1f}",
            "" if difference is None else f"${difference[0]:+.3f} \\pm {difference[1]:.3f}$",
            "" if row["p_of_difference"] is None else f"{row['p_of_difference']:.4f}",
            f"{mean['distinct'][1]:.3f}", percent(mean["repetition"]),
            *(["", ""] if (far := row.get("distance")) is None else [f"{far['bits']:.4f} ({far['by_chance']:.4f})", f"{far['p']:.3f}"]),
        ])
    head = ["scheme", "sampling", "perplexity", "loss $-$ unmarked", "$p$", "distinct pairs", "repeated", "divergence", "$p$"]
    return table("llrrrrrrr", head, rows)


def stealing():
    rows = [
        [
            tex(row["scheme"]), counted(row["queries"]), counted(row["contexts"]),
            *(percent(found(row | {"levels": row[name]}, 1e-2), 0) for name in ("spoofed", "rewritten", "scrubbed")),
        ]
        for row in harness()["stealing"]
    ]
    return table("lrrrrr", ["scheme", "texts", "contexts", "spoofed", "rewritten", "scrubbed"], rows)


def human():
    calibrated = harness()["calibration"]
    rows = []
    for row in calibrated:
        cells = [percent(level["found"]["rate"], 3) for level in row["levels"]]
        rows.append([tex(row["scheme"]), row["detector"], counted(row["levels"][0]["found"]["trials"]), *cells, "yes" if row["exceeds"] else "no"])
    rates = [f"$p \\le {power_of_ten(level['fpr'])}$" for level in calibrated[0]["levels"]]
    return table("llr" + "r" * len(rates) + "l", ["scheme", "detector", "pairs", *rates, "exceeds"], rows)


def students():
    """Students read with the key that marked their text, where any did."""
    return [row for row in lines("distillation/results.jsonl") if row["role"] == "own"]


def shares():
    """Of the mixture of text marked with one key of kgw h = 1 and unmarked text, read with that key, by the share."""
    def is_one(row):
        spec = row["spec"]
        if row["made"] != "trained on the mixture" or spec["scheme"] != "kgw" or spec["context_width"] != 1:
            return False
        return row["key"]["number"] == 1

    return sorted(filter(is_one, students()), key=lambda row: row["share"])


def radioactivity():
    body = [
        [
            percent(row["share"], 0), f"{row['z']:.1f}", signed(row["log10_p"]),
            signed(row["like_log10_p"]) if row.get("like_log10_p") is not None else "--", signed(row["argmax_log10_p"]),
        ]
        for row in shares()
    ]
    return table("rrrrr", ["marked", "$z$", r"$\log_{10} p$", r"with \texttt{-{}-like}", "likeliest token"], body)


def radioactivity_picture():
    # Without a mark there is nothing to see on a logarithmic axis, and the table has it.
    rows = [row for row in shares() if row["share"] > 0]
    points = lambda name: [(100 * row["share"], max(-row[name], 0.1)) for row in rows]
    options = (
        r"width=0.75\linewidth, height=5.5cm, xmode=log, ymode=log, xtick={1,2,5,10,25,50,100}, xticklabels={1,2,5,10,25,50,100},"
        r" ytick={0.1,1,6,10,100,1000}, yticklabels={0.1,1,6,10,100,1000}, xlabel={share of marked training text (\%)},"
        r" ylabel={$-\log_{10} p$},"
    )
    needed = [(100 * row["share"], 6) for row in rows]
    return plot(options, {
        "soft, by context": points("log10_p"), "likeliest token": points("argmax_log10_p"), "SHOWN from here": needed,
    })


def corpus():
    results = read("corpus_fdr/results.json")
    kinds = ["whole, 200 tokens or more", "whole, shorter", "edited, 200 tokens or more", "passage"]
    cell = lambda found: f"{found['discovered']} of {found['texts']}"
    rows = [[tex(row["scheme"]), *(cell(row[kind]) for kind in kinds), str(row["tokens_away"]["median"])] for row in results["schemes"]]
    return table("lrrrrr", ["scheme", *kinds, "boundary off by"], rows)


def lineup():
    rows = [
        [tex(row["suspect"]), row["kind"], row["verdict"].replace("_", " ").upper(), signed(row["log10_p"])]
        for row in read("served_lineage/results.json")["suspects"] if row["kind"] != "independent"
    ]
    return table("llll", ["suspect", "truth", "verdict", r"$\log_{10} p$"], rows)


def recovery():
    rows = [
        [
            rf"\texttt{{{tex(row['mark'])}}}", counted(row["keys"]), "yes" if row["found"] else "no", rounded(row["keys_per_second"]),
            str(row["bits_read"]), hours(row["core_hours_for_all"]),
        ]
        for row in read("key_recovery/results.json")["rows"]
    ]
    return table("lrlrrr", ["mark", "keys tried", "the right one found", "keys/s", "bits of key", "all of them"], rows)


def hours(number):
    return rf"{rounded(number / 8766)} core years" if number > 10_000 else f"{number:.0f} core hours"


def serving():
    rows = [
        [
            row["writing"], str(row["streams"]), f"{row['unmarked']['tokens_per_second']:.0f}", f"{row['marked']['tokens_per_second']:.0f}",
            f"{row['marked_over_unmarked']['median']:.3f}",
        ]
        for row in read("serve_load/throughput.json")["measured"]
    ]
    return table("lrrrr", ["writing", "streams", "unmarked, tokens/s", "marked", "ratio (median of rounds)"], rows)


def decode():
    def cells(row):
        speeds = (row.get(side) for side in ("touchmark", "transformers", "llama.cpp", "limit"))
        told = ("--" if speed is None else counted(round(speed)) if speed >= 10 else f"{speed:.1f}" for speed in speeds)
        return [row["model"].upper(), tex(row["form"]), str(row["batch"]), *told]

    rows = [cells(row) for row in read("decode_peers/results.json")["rows"] if row["threads"] == 1]
    return table("llrrrrr", ["model", "weights", "sequences", "Touchmark", "transformers", "llama.cpp", "limit of memory"], rows)


def numbers():
    """Numbers in the text, as commands."""
    power_rows = read("power/results.json")
    default = {row["tokens"]: row for row in power_rows["rows"] if row["scheme"] == "kgw h=2 (default)"}
    p_values = read("peer_p_values/results.json")
    ours = [row for row in p_values["rows"] if row["tool"] == "touchmark"]
    theirs = [row for row in p_values["rows"] if row["tool"] != "touchmark" and not row["rule"]]
    rated = lambda rows: len({(row["tool"], row["statistic"], row["evidence"]) for row in rows})
    corpus_rows = read("corpus_fdr/results.json")
    null = read("attribution_null/results.json")
    proper = [cell for cell in null["cells"] if cell["how"] == "as it is" and cell["setting"] != "marked text"]
    marked = read("interop/results/interop.json")
    own = [row for row in marked["rows"] if row["mark"] in row["touchmark_on_ids"]]
    lineage = read("served_lineage/results.json")["suspects"]
    independent = [row for row in lineage if row["kind"] != "copy"]
    copies = [row for row in lineage if row["kind"] == "copy"]
    elsewhere = {row["suspect"]: row for row in students() if row["elsewhere"]}
    full = read("harness/full.json")
    commands = {
        "PowerTexts": counted(power_rows["texts"]),
        "DefaultShort": percent(default[100]["detected_at_1e-6"]),
        "DefaultLong": percent(default[400]["detected_at_1e-6"]),
        "PairsOfTextAndKey": counted(max(row["pairs"] for row in theirs if "20 tokens" not in row["texts"])),
        "PeerStatistics": str(rated(theirs)),
        "PeerTools": str(len({row["tool"].split()[0] for row in theirs})),
        "PeerExceeding": str(rated([row for row in theirs if row["exceeds"]])),
        "OwnCells": str(len(ours)),
        "OwnExceeding": str(sum(bool(row["exceeds"]) for row in ours)),
        "CorpusDocuments": counted(corpus_rows["documents"]),
        "CorpusKeySets": str(corpus_rows["key_sets"]),
        "CorpusFdr": percent(corpus_rows["fdr"], 0),
        "CorpusFound": percent(corpus_rows["false_discovery_proportion"][0], 2),
        "CorpusFoundHigh": percent(corpus_rows["false_discovery_proportion"][2], 2),
        "NullKeys": counted(proper[0]["keys"]),
        "NullCells": str(len(proper)),
        "NullAllowed": percent(null["most"][0] / proper[0]["keys"], 2),
        "NullWorst": percent(max(cell["hits"][0] / cell["keys"] for cell in proper), 2),
        "InteropTexts": str(sum(row["texts"] for row in own)),
        "InteropNamed": str(sum(row["touchmark_all_profiles_on_text"]["with_the_right_profile"] for row in own)),
        "LineageCopies": str(len(copies)),
        "LineageRelated": str(sum(row["verdict"] == "related" for row in copies)),
        "LineageIndependent": str(len(independent)),
        "LineageAccused": str(sum(row["verdict"] == "related" for row in independent)),
        "StudentAll": signed(elsewhere["student-kgw"]["log10_p"]),
        "StudentTenth": signed(elsewhere["student-kgw10"]["log10_p"]),
        "StudentSyn": signed(elsewhere["student-syn"]["log10_p"]),
        "TokensRead": counted(elsewhere["student-kgw"]["tokens_read"]),
        "PeerTokens": str(read("peers/results.json")["lengths"][0]),
        "HarnessTexts": str(full["plan"]["texts"]),
        "HarnessAttacked": str(full["plan"].get("attacked_lengths", full["plan"]["lengths"])[-1]),
        "HarnessRate": f"${power_of_ten(RATE)}$",
        "HarnessProcessor": tex(full["machine"]["processor"]),
    }
    for name, value in commands.items():
        yield rf"\newcommand{{\num{name}}}{{{value}}}"


PARTS = {
    "numbers": numbers, "power": power, "power-picture": power_picture, "calibration": calibration, "key-spread": key_spread,
    "interop": interop, "peers": peers, "robustness": robustness, "signs": signs, "quality": quality, "stealing": stealing, "human": human,
    "radioactivity": radioactivity, "radioactivity-picture": radioactivity_picture, "corpus": corpus, "lineup": lineup,
    "recovery": recovery, "serving": serving, "decode": decode,
}


def cited():
    """Keys that the text cites and the list of references lacks, and the other way round."""
    text = (PAPER / "touchmark.tex").read_text()
    wanted = {key.strip() for keys in re.findall(r"\\cite[pt]?\{([^}]*)\}", text) for key in keys.split(",")}
    there = set(re.findall(r"^@\w+\{([^,]+),", (PAPER / "references.bib").read_text(), re.M))
    return wanted ^ there


def main():
    check = sys.argv[1:] == ["--check"]
    FOLDER.mkdir(exist_ok=True)
    stale = [f"reference {key}" for key in sorted(cited())]
    for name, part in PARTS.items():
        file = FOLDER / f"{name}.tex"
        text = "% Written by generate.py.\n" + "\n".join(part()) + "\n"
        if not check:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            stale.append(f"generated/{name}.tex")
    if stale:
        raise SystemExit("not in step: " + ", ".join(stale) + ("; run python3 paper/generate.py" if check else ""))


main()
