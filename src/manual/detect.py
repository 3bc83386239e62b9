"""Rows of `touchmark detect` for a stream of documents, from any Python program; standard library only."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor


def detect(documents, *flags):
    """Yields a row, a dict, for each {"id": …, "text": …} in order (and for each profile); one process reads them all."""
    command = ["touchmark", "detect", "-", "--stdin-format", "jsonl", "--format", "jsonl", "--quiet", *flags]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "encoding": "utf-8"}
    with ThreadPoolExecutor(1) as thread, subprocess.Popen(command, **pipes) as run:

        def write():
            with run.stdin:
                run.stdin.writelines(json.dumps(document) + "\n" for document in documents)

        writing = thread.submit(write)
        yield from map(json.loads, run.stdout)
    if run.returncode not in (0, 3):  # 3: some documents failed; they are named on standard error
        raise RuntimeError(f"touchmark detect ended with code {run.returncode}")
    writing.result()  # An error of the documents' own goes on here.
