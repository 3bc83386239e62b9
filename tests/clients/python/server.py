"""The server that `.ci/clients` runs, as tests see it: its address, and an API key of an account under each policy."""

import json
import os
import time
import urllib.error
import urllib.request

URL = os.environ["TOUCHMARK_URL"]
POLICIES = ["off", "opt-in", "default", "required"]
KEYS = {policy: os.environ["TOUCHMARK_KEY_" + policy.upper().replace("-", "_")] for policy in POLICIES}
# May do everything.
OPERATOR = os.environ["TOUCHMARK_KEY_OPERATOR"]


def call(path, body=None, key=OPERATOR, headers=None):
    """Status, headers and body of a plain request; a body is sent as JSON, or as it is when it is bytes."""
    data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(URL + path, data=data, headers={"content-type": "application/json", **(headers or {})})
    if key is not None:
        request.add_header("authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read()


def detect(text):
    """What the server says of a text to an analyst."""
    status, _, body = call("/v1/watermark/detect", {"text": text})
    assert status == 200, body
    return json.loads(body)


def metrics():
    """Samples by name, labels included."""
    status, _, body = call("/metrics")
    assert status == 200, body
    lines = [line for line in body.decode().splitlines() if line and not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def wait_until(condition, seconds=20):
    """Waits for something to become true."""
    end = time.monotonic() + seconds
    while not (last := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return last
