#!/usr/bin/env python3
"""Human documents for the experiment: pieces of the repository's human text, and prose found on this machine.

    python3 documents.py [--prose FOLDER]… [--volume N --volume-output FILE] > documents.jsonl

Prose is what README files of Rust crates, Debian's documentation and manual pages hold besides code and tables. Every work
gives at most eight documents and a kind of work at most 2,500, of whole paragraphs and of lengths even in their logarithm. A document is left out when half of its
runs of five words (by minimum hashes of 64) are those of an earlier one. Standard library only; the same files give the same
documents. Each line: `id`, `work`, `kind`, `text`. Counts go to standard error as JSON.

With --volume also a corpus for measuring speed: N documents of paragraphs drawn at random from all documents. It says nothing
about rates: its texts repeat each other.
"""

import argparse
import collections
import gzip
import hashlib
import html
import json
import math
import pathlib
import random
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHORTEST, LONGEST = 500, 12_000
MOST_OF_A_WORK, MOST_OF_A_KIND = 8, 2_500
HASHES, HALF = 64, 0.5
PRIME = (1 << 61) - 1


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--prose", type=pathlib.Path, action="append", help="folders to look in")
    arguments.add_argument("--volume", type=int, default=0)
    arguments.add_argument("--volume-output", type=pathlib.Path)
    options = arguments.parse_args()
    folders = options.prose or [
        pathlib.Path.home() / ".cargo/registry/src",
        pathlib.Path("/usr/share/doc"),
        pathlib.Path("/usr/share/man"),
    ]
    kept, dropped = distinct(documents(folders))
    counts = collections.Counter(document["kind"] for document in kept)
    for document in kept:
        print(json.dumps(document, ensure_ascii=False))
    works = len({document["work"] for document in kept})
    print(json.dumps({"documents": len(kept), "near_duplicates": dropped, "works": works, "kinds": counts}), file=sys.stderr)
    if options.volume:
        volume(kept, options.volume, options.volume_output)


def documents(folders: list[pathlib.Path]):
    for line in (ROOT / "tests/data/human.jsonl").open(encoding="utf-8"):
        record = json.loads(line)
        # A chapter is a work's piece: all of it is cut up, so that books give many documents.
        yield from cut(record["text"], f"{record['work']}", "books", most=None)
    for kind, work, text in found(folders):
        yield from cut(text, work, kind, most=MOST_OF_A_WORK)


def found(folders: list[pathlib.Path]):
    """Texts with their kind and the work they are of, in the order of their names."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or path.is_symlink():
                continue
            name = path.name.lower()
            work = path.relative_to(folder).parts
            if name.endswith((".md", ".markdown")):
                yield "readme", "/".join(work[:2]), markdown(read(path))
            elif name.endswith((".html", ".htm")):
                yield "html", work[0], web(read(path))
            elif re.search(r"\.[1-9][a-z]*\.gz$", name) and "man" == folder.name and work[0].startswith("man"):
                yield "manual page", path.name.split(".")[0].split("-")[0], roff(read(path))
            elif re.search(r"^(readme|news|faq|.*\.txt|.*\.rst)(\.gz)?$", name) and not name.startswith("changelog"):
                yield "text", work[0], plain(read(path))


def read(path: pathlib.Path) -> str:
    try:
        data = path.read_bytes()
        if path.suffix == ".gz":
            data = gzip.decompress(data)
        return data[: 4 << 20].decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError, ValueError):
        return ""


def markdown(text: str) -> str:
    text = re.sub(r"(?ms)^(```|~~~).*?^\1", "", text)
    text = re.sub(r"!\[[^\]]*\]\([^)]*\)|\[!\[.*?\]\([^)]*\)", "", text)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)|\[([^\]]*)\]\[[^\]]*\]", lambda found: found[1] or found[2] or "", text)
    return plain(re.sub(r"<[^>]+>|^\[[^\]]*\]:.*$", "", text, flags=re.M))


def web(text: str) -> str:
    text = re.sub(r"(?is)<(script|style|pre|table|nav|code)\b.*?</\1>", " ", text)
    text = re.sub(r"(?i)</?(p|div|h[1-6]|li|ul|ol|dd|dt|section|br)\b[^>]*>", "\n\n", text)
    return plain(html.unescape(re.sub(r"<[^>]+>", "", text)))


def roff(text: str) -> str:
    text = re.sub(r"\\f[A-Z]|\\f\[[^\]]*\]|\\[&/,|^c]", "", text)
    text = text.replace("\\-", "-").replace("\\(aq", "'").replace("\\e", "\\").replace("\\ ", " ")
    lines = []
    for line in text.splitlines():
        if re.match(r"^[.'](PP|P|LP|SH|SS|TP|IP|Pp|Sh|It|sp|RS|RE|nf|fi)\b", line):
            lines.append("")
        elif re.match(r"^[.'](B|I|BR|IR|RB|RI|BI|IB|Nm|Fl|Ar|Xr|Em|Pa)\b", line):
            lines.append(re.sub(r"^[.']\w+\s*|\"", "", line))
        elif not line.startswith((".", "'")):
            lines.append(line)
    return plain("\n".join(lines))


def plain(text: str) -> str:
    """Paragraphs that are prose: sentences of words, few digits and signs."""
    paragraphs = (" ".join(paragraph.split()) for paragraph in re.split(r"\n\s*\n", text))
    return "\n\n".join(paragraph for paragraph in paragraphs if is_prose(paragraph))


def is_prose(paragraph: str) -> bool:
    words = re.findall(r"[A-Za-z']+", paragraph)
    if len(words) < 12 or not re.search(r"[.!?:]['\")]?\s*$", paragraph):
        return False
    letters = sum(character.isalpha() or character.isspace() for character in paragraph)
    english = sum(word.lower() in COMMON for word in words)
    return letters > 0.88 * len(paragraph) and english > 0.2 * len(words)


COMMON = set("the of and to a in is that for it as with be on not by this or are from at an have if you was which can will".split())


def cut(text: str, work: str, kind: str, most: int | None):
    """Whole paragraphs to documents of lengths even in their logarithm."""
    draw = random.Random(work + text[:200])
    paragraphs = [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]
    at, made = 0, 0
    while at < len(paragraphs) and (most is None or made < most):
        wanted = math.exp(draw.uniform(math.log(SHORTEST), math.log(LONGEST)))
        taken, length = [], 0
        while at < len(paragraphs) and length < wanted:
            taken.append(paragraphs[at])
            length += len(paragraphs[at])
            at += 1
        if SHORTEST <= length <= 2 * LONGEST:
            made += 1
            body = "\n\n".join(taken)
            name = hashlib.sha256(f"{work}\0{body}".encode()).hexdigest()[:12]
            yield {"id": name, "work": work, "kind": kind, "text": body}


def distinct(candidates) -> tuple[list[dict], int]:
    """The documents that are like no earlier one, at most eight of a work other than a book, and how many were left out."""
    draw = random.Random(1)
    functions = [(draw.randrange(1, PRIME), draw.randrange(PRIME)) for _ in range(HASHES)]
    seen: dict[tuple[int, int], list[list[int]]] = {}
    of_work, of_kind = collections.Counter(), collections.Counter()
    kept, dropped = [], 0
    for document in candidates:
        work, kind = document["work"], document["kind"]
        if kind != "books" and of_work[work] >= MOST_OF_A_WORK or of_kind[kind] >= MOST_OF_A_KIND:
            continue
        minima = signature(document["text"], functions)
        # Any two of 16 bands of four that agree are looked at.
        bands = [(band, hash(tuple(minima[4 * band : 4 * band + 4]))) for band in range(HASHES // 4)]
        near = (other for band in bands for other in seen.get(band, []))
        if any(sum(a == b for a, b in zip(minima, other)) >= HALF * HASHES for other in near):
            dropped += 1
            continue
        for band in bands:
            seen.setdefault(band, []).append(minima)
        of_work[work] += 1
        of_kind[kind] += 1
        kept.append(document)
    return kept, dropped


def signature(text: str, functions: list[tuple[int, int]]) -> list[int]:
    words = re.findall(r"\w+", text.lower())
    runs = {" ".join(words[at : at + 5]) for at in range(max(1, len(words) - 4))}
    values = [int.from_bytes(hashlib.blake2b(run.encode(), digest_size=8).digest()) % PRIME for run in runs]
    return [min((a * value + b) % PRIME for value in values) for a, b in functions]


def volume(kept: list[dict], count: int, output: pathlib.Path) -> None:
    draw = random.Random(2)
    paragraphs = [paragraph for document in kept for paragraph in document["text"].split("\n\n")]
    with output.open("w", encoding="utf-8") as file:
        for number in range(count):
            text = "\n\n".join(draw.choices(paragraphs, k=draw.randint(1, 6)))
            file.write(json.dumps({"id": f"v{number}", "text": text}, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
