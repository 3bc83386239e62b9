"""Are the server's answers found again, and is the right account named?

Starts `touchmark serve` with 1,000 accounts, each marking with its own tenant's key under one of several policies, asks for
answers at several temperatures, and reads every answer back with `touchmark detect` from its text alone, corrected over all 1,000
tenants. Needs Python's standard library and `target/release/touchmark`.

    python3 experiments/serve_detection/run.py --answers 2000 --out experiments/serve_detection/results.json
"""

import argparse
import collections
import concurrent.futures
import http.client
import json
import os
import pathlib
import random
import subprocess
import tempfile
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOUCHMARK = ROOT / "target/release/touchmark"
SCHEMES = ["kgw", "gumbel", "synthid"]
MODES = ["default", "required", "opt-in", "off"]
TEMPERATURES = [0.7, 0.85, 1.0]
OPENINGS = [
    "The old house stood at the end of the lane, and",
    "In the spring of that year the ships came back, and",
    "Nobody in the village could say why the bell",
    "My grandmother kept a box under her bed. In it",
    "The river had risen in the night, so the miller",
    "When the teacher opened the door, the children",
    "There was once a king who had three daughters, and",
    "The train was late again. On the platform",
]
# At least as many as an answer needs, so that all have 200 marked tokens but those that repeat.
TOKENS = 280
LEAST = 200


def run(home, *arguments):
    environment = dict(os.environ, TOUCHMARK_HOME=str(home / "home"))
    done = subprocess.run([TOUCHMARK, "-q", *arguments], env=environment, cwd=home, capture_output=True, text=True)
    if done.returncode not in (0, 3):
        raise SystemExit(done.stderr)
    return done.stdout


def accounts(home, count):
    """A policy file of `count` accounts; gives name, key, mode and profile of each."""
    made = []
    for scheme in SCHEMES:
        # What repeats a seed stays unmarked, so that every marked token counts, and answers do not run in circles.
        run(home, "profile", "new", scheme, "--scheme", scheme, "--repeats", "single-turn")
    for number in range(count):
        name = f"account-{number:04}"
        mode = MODES[number % len(MODES)]
        key = json.loads(run(home, "--json", "api-key", "new", name, "--file", "keys.toml", "--tenant", name, "--watermark-mode", mode))["api_key"]
        made.append((name, key, mode, SCHEMES[number // len(MODES) % len(SCHEMES)]))
    text = (home / "keys.toml").read_text()
    (home / "keys.toml").write_text('[defaults]\nprofiles = ["kgw", "gumbel", "synthid"]\n' + text)
    (home / "tenants").write_text("".join(f"{name}\n" for name, *_ in made))
    return made


def start(home):
    environment = dict(os.environ, TOUCHMARK_HOME=str(home / "home"))
    arguments = ["--json", "serve", "--port", "0", "--api-key-file", "keys.toml", "--profile", "kgw"]
    server = subprocess.Popen(
        [TOUCHMARK, *arguments], env=environment, cwd=home, stdout=subprocess.PIPE, stderr=open(home / "log", "w"), text=True
    )
    text = ""
    for line in server.stdout:
        text += line
        if line.startswith("}"):
            return server, urllib.parse.urlparse(json.loads(text)["address"])
    raise SystemExit((home / "log").read_text())


def ask(address, account, number):
    """One answer, or the status that it was refused with."""
    name, key, mode, profile = account
    chance = random.Random(number)
    body = {
        "model": "scribe-16m-chat",
        "prompt": chance.choice(OPENINGS),
        "max_tokens": TOKENS,
        "ignore_eos": True,
        "temperature": chance.choice(TEMPERATURES),
        "seed": number,
    }
    if mode != "off":
        body["watermark"] = {"enabled": True, "profile": profile}
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=600)
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    connection.request("POST", "/v1/completions", json.dumps(body), headers)
    response = connection.getresponse()
    answer = json.loads(response.read())
    if response.status != 200:
        raise SystemExit(f"{response.status}: {answer}")
    mark = answer["watermark"]
    return {
        "id": str(number),
        "text": answer["choices"][0]["text"],
        "account": name,
        "mode": mode,
        "profile": profile,
        "temperature": body["temperature"],
        "applied": mark["applied"],
        "marked": mark["tokens_marked"],
        "skipped": mark["skipped"],
    }


def read_back(home, answers, profile):
    """The rows of each answer under one profile and all tenants."""
    (home / "answers.jsonl").write_text("".join(json.dumps({"id": it["id"], "text": it["text"]}) + "\n" for it in answers))
    arguments = ["detect", "answers.jsonl", "--profile", profile, "--tenants", "tenants", "--screen", "off", "--format", "jsonl"]
    rows = collections.defaultdict(list)
    for line in run(home, *arguments).splitlines():
        row = json.loads(line)
        rows[row["id"]].append(row)
    return rows


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--answers", type=int, default=2000)
    parser.add_argument("--accounts", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--out", type=pathlib.Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = pathlib.Path(folder)
        people = accounts(home, arguments.accounts)
        server, address = start(home)
        try:
            with concurrent.futures.ThreadPoolExecutor(arguments.clients) as pool:
                jobs = [pool.submit(ask, address, people[number % len(people)], number) for number in range(arguments.answers)]
                answers = [job.result() for job in jobs]
        finally:
            server.terminate()
            server.wait()
        report = {"answers": len(answers), "accounts": len(people), "tokens": TOKENS, "least_marked": LEAST, "fpr": 1e-6, "by": {}, "misses": []}
        for profile in SCHEMES:
            mine = [answer for answer in answers if answer["profile"] == profile]
            rows = read_back(home, mine, profile)
            marked = [answer for answer in mine if answer["applied"] and answer["marked"] >= LEAST]
            count = collections.Counter()
            per_token = collections.defaultdict(list)
            missed = []
            for answer in mine:
                found = [row for row in rows[answer["id"]] if row["verdict"] == "detected"]
                names = {row["key_id"].split("/", 1)[1] for row in found}
                wrong = names - {answer["account"]}
                if not answer["applied"]:
                    count["unmarked"] += 1
                    count["unmarked_detected"] += bool(found)
                    if answer["mode"] == "required":
                        raise SystemExit("an answer under `required` left unmarked")
                    continue
                if answer["marked"] < LEAST:
                    count["short"] += 1
                    continue
                count["marked"] += 1
                count["confused"] += bool(wrong)
                own = [row for row in rows[answer["id"]] if row["key_id"].endswith("/" + answer["account"])]
                if answer["account"] in names:
                    count["found"] += 1
                    per_token[answer["temperature"]].append(own[0]["log10_p"] / own[0]["tokens_scored"])
                    continue
                missed.append(
                    {
                        **{field: answer[field] for field in ("id", "profile", "mode", "temperature", "marked", "skipped")},
                        "scored": rows[answer["id"]][0]["tokens_scored"],
                        "repeated": rows[answer["id"]][0]["repeated"],
                        "log10_p": own[0]["log10_p"] if own else None,
                        "text": answer["text"][:160],
                    }
                )
            # What so many tokens say on the average, in answers of this profile and temperature.
            for miss in missed:
                like = per_token[miss["temperature"]]
                miss["expected_log10_p"] = round(miss["scored"] * sum(like) / len(like), 1) if like else None
            report["misses"] += missed
            assert len(marked) == count["marked"]
            report["by"][profile] = dict(count)
        total = collections.Counter()
        for count in report["by"].values():
            total.update(count)
        report["all"] = dict(total)
        text = json.dumps(report, indent=1)
        if arguments.out:
            arguments.out.write_text(text + "\n")
        print(text)


if __name__ == "__main__":
    main()
