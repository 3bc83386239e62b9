"""Writes ggml_blocks.json: random quantised blocks and what the `gguf` package makes of them.

Run: pip install gguf numpy; python tests/it/golden/ggml_blocks.py
"""

import importlib.metadata
import json
import pathlib

import gguf
import numpy as np

# Where each format's blocks have 16-bit floats.
FLOATS = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
SCALES = [0.0, 6e-8, 1e-3, -0.37, 1.0, 60000.0]


def main():
    rng = np.random.default_rng(20261121)
    cases = []
    for name, places in FLOATS.items():
        kind = gguf.GGMLQuantizationType[name]
        _, size = gguf.GGML_QUANT_SIZES[kind]
        # One block for each scale; the bytes between are random.
        blocks = rng.integers(0, 256, size=(len(SCALES), size), dtype=np.uint8)
        for block, scale in zip(blocks, SCALES):
            for place in places:
                block[place:place + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
        values = gguf.quants.dequantize(blocks.reshape(1, -1), kind)[0].astype("<f4")
        cases.append({"type": name, "bytes": blocks.tobytes().hex(), "values": values.tobytes().hex()})
    golden = {
        "comment": "Blocks of ggml's quantised formats, random but for their 16-bit scales, and their weights as "
                   "gguf.quants.dequantize gives them: little-endian f32. Both in hexadecimal.",
        "generator": "tests/it/golden/ggml_blocks.py",
        "versions": {name: importlib.metadata.version(name) for name in ("gguf", "numpy")},
        "cases": cases,
    }
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(golden, indent=1) + "\n")


main()
