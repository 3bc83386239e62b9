"""What MarkLLM's EXP picks and what its own detector says, on the CPU.

Run: python3 markllm_exp.py FOLDER > markllm_exp.json (torch 2.15, scipy; FOLDER has watermark/exp/exp.py, watermark/base.py,
exceptions/ and utils/utils.py of the package markllm 0.1.5 below markllm/; a table of logits stands in for the model)."""

import importlib.util
import json
import random
import sys
import tempfile
import types
from pathlib import Path
from types import SimpleNamespace

import scipy
import scipy.stats
import torch

# The package's own __init__ files import every scheme and its models; what is run here needs none.
root = Path(sys.argv[1]) / "markllm"
for name in ["", ".watermark", ".watermark.exp", ".utils", ".exceptions", ".visualize"]:
    module = types.ModuleType("markllm" + name)
    module.__path__ = [str(root.joinpath(*name.split(".")))]
    sys.modules[module.__name__] = module
for name, content in [("utils.transformers_config", "TransformersConfig"),
                      ("visualize.data_for_visualization", "DataForVisualization")]:
    module = types.ModuleType("markllm." + name)
    setattr(module, content, object)
    sys.modules[module.__name__] = module
from markllm.watermark.exp.exp import EXP  # noqa: E402

COMMENT = [
    "Generator: markllm 0.1.5, EXP, on the CPU, as markllm_exp.py calls it.",
    "output: what it writes after the prompt; the logits of step i are logit(i, id) as in vllm_gumbel.json. tokens: the "
    "output and then random ids, with a 0 among them. uniform: the number, times 2^24, of each token from prefix_length on, "
    "after the tool's seed. p: the detector's p-value of tokens.",
    "first: the tool's numbers of tokens 0 to 4 after the prompt, times 2^24.",
]
CASES = [
    # hash_key, prefix_length, V, prompt, steps. The tool's default top_k = 0 stands: any other stops it with a RuntimeError.
    (15485863, 4, 500, [5, 7, 11, 13], 40),
    (15485863, 1, 1201, [9], 40),
    (2**40 + 12345, 2, 997, [3, 996], 40),
    (-42, 3, 128, [5, 77, 9], 30),
]


def logit(step, token):
    x = (token * 0x9E3779B1 + step * 0x85EBCA77 + 0xC2B2AE3D) & 0xFFFFFFFF
    x ^= x >> 15
    x = (x * 0x2C1B3C6D) & 0xFFFFFFFF
    x ^= x >> 12
    return (x >> 8) / 2**21


class Ids:
    """A tokenizer of texts that are ids already."""

    def encode(self, text, return_tensors=None, add_special_tokens=None):
        return torch.tensor([[int(word) for word in text.split()]])

    def decode(self, ids, skip_special_tokens=None):
        return " ".join(str(int(token)) for token in ids)


def case(rng, key, prefix, vocab, prompt, steps):
    counter = iter(range(steps))

    def model(inputs, **_):
        row = [logit(step, token) for step in [next(counter)] for token in range(vocab)]
        return SimpleNamespace(logits=torch.tensor([[row]], dtype=torch.float32), past_key_values=None)

    settings = {"algorithm_name": "EXP", "prefix_length": prefix, "hash_key": key, "threshold": 1e-4,
                "sequence_length": steps, "top_k": 0}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(settings, file)
        file.flush()
        device = SimpleNamespace(model=model, tokenizer=Ids(), vocab_size=vocab, device="cpu", gen_kwargs={})
        tool = EXP(file.name, device)
    tool.utils.seed_rng(torch.tensor(prompt))
    first = (torch.rand(vocab, generator=tool.utils.rng)[:5] * 2**24).long().tolist()
    output = [int(word) for word in tool.generate_watermarked_text(" ".join(map(str, prompt))).split()][len(prompt):]
    tokens = output + [rng.randrange(vocab) for _ in range(10)] + [0] + [rng.randrange(vocab) for _ in range(10)]
    text = " ".join(map(str, tokens))
    uniforms = []
    for at in range(prefix, len(tokens)):
        tool.utils.seed_rng(torch.tensor(tokens[:at]))
        uniforms.append(int(torch.rand(vocab, generator=tool.utils.rng)[tokens[at]] * 2**24))
    found = tool.detect_watermark(text)
    return {"hash_key": str(key), "prefix_length": prefix, "vocab_size": vocab, "prompt": prompt,
            "first": first, "output": output, "tokens": tokens, "uniform": uniforms, "p": float(found["score"])}


rng = random.Random(15485863)
made = [case(rng, *parameters) for parameters in CASES]
print(json.dumps({"_comment": COMMENT, "cases": made}))
