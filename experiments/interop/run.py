"""Sets up the other tools and runs interop.py with them: one command, nothing outside its folder.

Run: cargo build --release && python3 experiments/interop/run.py [--texts N] [--part NAME]
     python3 experiments/interop/run.py --speed          how fast each detector reads, instead (speed.py)
"""

import pathlib
import sys

import environment

HERE = pathlib.Path(__file__).resolve().parent
environment.run_script(HERE / ("speed.py" if sys.argv[1:] == ["--speed"] else "interop.py"))
