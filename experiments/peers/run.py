"""Sets up the other tools (as experiments/interop does, in the same folder) and measures them beside Touchmark.

Run: cargo build --release --bins --example peers_read && python3 experiments/peers/run.py [--texts N] [--human N]
"""

import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "interop"))

import environment  # noqa: E402

environment.run_script(HERE / "measure.py")
