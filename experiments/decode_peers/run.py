"""Sets up transformers and llama.cpp, makes the models, and measures decoding beside them. Needs a C++ compiler and the network.

Run: cargo build --release --example decode_peers && python3 experiments/decode_peers/run.py [--rounds N] [--models 28m,500m] [--forms …]
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))

import environment  # noqa: E402

environment.CACHE.mkdir(parents=True, exist_ok=True)
interpreter = environment.python()
programs = environment.llama_cpp(interpreter)
models = environment.CACHE / "decode-models"
if not (models / "done").exists():
    environment.run(interpreter, HERE / "models.py", models, programs / "llama-quantize")
    (models / "done").touch()
environment.run(interpreter, HERE / "measure.py", models, programs / "llama-batched-bench", *sys.argv[1:])
