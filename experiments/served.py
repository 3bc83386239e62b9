"""Models behind HTTP for experiments: servers, and a proxy that changes how they are asked."""

import http.server
import json
import os
import pathlib
import subprocess
import tempfile
import threading
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[1]
PREFIX = "You are a helpful assistant.\n\n"


class Machine:
    """A folder in which the tool runs."""

    def __init__(self, folder, touchmark):
        self.folder, self.touchmark = folder, touchmark
        self.environment = dict(os.environ, TOUCHMARK_HOME=str(folder / "home"))
        self.servers = []

    def run(self, *arguments):
        done = subprocess.run(
            [self.touchmark, "-q", *map(str, arguments)], env=self.environment, cwd=self.folder, capture_output=True, text=True
        )
        if done.returncode:
            raise SystemExit(f"{arguments}: {done.stderr}")
        return done.stdout

    def stop(self):
        for server in self.servers:
            server.terminate()
            server.wait()

    def serve(self, model):
        command = [self.touchmark, "--json", "serve", model, "--port", "0", "--profile", "house", "--watermark-mode", "off", "--no-ledger"]
        server = subprocess.Popen(command, env=self.environment, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.servers.append(server)
        text = ""
        for line in server.stdout:
            text += line
            if line.startswith("}"):
                return json.loads(text)["address"]
        raise SystemExit(f"{model} is not served")


def run(touchmark, measure):
    """What is measured on a machine whose folder and servers last so long."""
    with tempfile.TemporaryDirectory() as folder:
        machine = Machine(pathlib.Path(folder), touchmark)
        try:
            return measure(machine)
        finally:
            machine.stop()


def write(table, out):
    """Prints a table, and keeps it where that is wanted."""
    text = json.dumps(table, indent=1)
    print(text)
    if out:
        out.write_text(text + "\n")


def proxy(address, change):
    """A server that changes requests and answers on their way; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self, body):
            request = urllib.request.Request(urllib.parse.urljoin(address, self.path), body, {"content-type": "application/json"})
            with urllib.request.urlopen(request) as answer:
                return json.load(answer)

        def reply(self, answer):
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self):
            self.reply(self.forward(None))

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            body["prompt"] = change.get("prefix", "") + body["prompt"]
            body.update(change.get("fields", {}))
            answer = self.forward(json.dumps(body).encode())
            if change.get("uncounted"):
                answer.pop("usage", None)
            self.reply(answer)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/v1"


def probe(machine, bundle, suspect, *commit):
    """Commits to a test, asks the suspect, verifies the bundle; gives the finding."""
    machine.run("bundle", "commit", "-o", bundle, *commit)
    finding = json.loads(machine.run("--json", "fingerprint", "probe", bundle, "--suspect", suspect))
    machine.run("bundle", "verify", bundle)
    return finding
