"""Adjusted p-values by statsmodels, those of the false discovery rate also by SciPy, which must agree.

    pip install numpy==2.* scipy==1.* statsmodels==0.14.*
    python tests/it/golden/multiplicity.py
"""

import json
import pathlib

import numpy as np
import scipy
import statsmodels
from scipy.stats import false_discovery_control
from statsmodels.stats.multitest import multipletests


def adjusted(p):
    p = np.array(p, dtype=float)
    case = {"p": p.tolist()}
    for name, method in [("holm", "holm"), ("bh", "fdr_bh"), ("by", "fdr_by")]:
        case[name] = multipletests(p, method=method)[1].tolist()
    for name in ["bh", "by"]:
        assert np.allclose(case[name], false_discovery_control(p, method=name), rtol=1e-12, atol=0)
    return case


def main():
    random = np.random.default_rng(20261121)
    uniform = random.uniform(size=60)
    mixed = np.concatenate([10.0 ** -random.uniform(2, 300, size=8), random.uniform(size=25)])
    random.shuffle(mixed)
    cases = [
        [0.04],
        [1e-300, 1.0, 0.5, 1e-299],
        [0.01, 0.01, 0.01, 0.02, 0.02, 0.9],
        [1.0, 1.0, 1.0],
        [0.049, 0.03, 0.04, 0.02, 0.045],
        uniform,
        mixed,
        np.round(mixed, 1) + 1e-300,
    ]
    comment = (
        "p-values and their adjusted values by Holm, Benjamini-Hochberg and Benjamini-Yekutieli, in the order given, made by "
        f"tests/it/golden/multiplicity.py with statsmodels {statsmodels.__version__} (multipletests); SciPy "
        f"{scipy.__version__} (false_discovery_control) agrees to 1e-12."
    )
    document = {"comment": comment, "cases": [adjusted(case) for case in cases]}
    pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(document, separators=(",", ":")) + "\n")


main()
