"""The built program, as its users call it."""

import json
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("INTEROP_TOUCHMARK", ROOT / "target/release/touchmark"))
MODEL = ROOT / "models/scribe-16m"
SEED = 1


class Touchmark:
    """A home of its own in `folder`, made anew."""

    def __init__(self, folder):
        self.home = folder / "home"
        shutil.rmtree(self.home, ignore_errors=True)

    def run(self, *command):
        words = [PROGRAM, "--home", self.home, "--no-progress", *command]
        done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"touchmark {' '.join(map(str, command))}\n{done.stderr}")
        return done.stdout

    def version(self):
        return self.run("--version").split()[1]

    def profile(self, name, tool, file, *more):
        """The profile and the key of a tool's configuration."""
        self.run(
            "profile", "import", "--for", tool, file, "--tokenizer", MODEL, "--model", MODEL, "--name", name,
            "--key-id", name, *more,
        )

    def generate(self, profile, prompts, output):
        output.unlink(missing_ok=True)
        marked = ["--profile", profile] if profile else ["--no-watermark"]
        self.run("generate", MODEL, "--prompts", prompts, *marked, "--ignore-eos", "--seed", SEED, "-o", output)

    def detect(self, profile, file, *more):
        """Rows by id and profile."""
        out = self.run("detect", file, "--profile", profile, "--normalise", "off", "--format", "jsonl", *more)
        rows = map(json.loads, out.splitlines())
        return {(row["id"], row["profile"]): row for row in rows}
