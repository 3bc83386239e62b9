"""The other tools' own detectors, each behind one call: ids (and the prompt's) to what the tool says of them.

An answer has `scored`, `score`, the tool's p-value as `log10_p` where it gives one, and `own`: the tool's verdict at the
threshold that it has by default. Without `fully`, what is only compared on texts of the detector's own mark is left out.
Nothing of a tool is changed; vLLM's files are given the small modules of vLLM that they import and that want a GPU.
"""

import importlib.util
import json
import logging
import math
import os
import pathlib
import sys
import types

import numpy
import torch
import transformers

CACHE = pathlib.Path(os.environ["INTEROP_CACHE"])
sys.path += [str(CACHE / "vllm"), str(CACHE / "site")]
SYNTHID_HEAD = CACHE / "synthid-head/src/synthid_text"


def stand_in(name, **content):
    module = types.ModuleType(name)
    vars(module).update(content)
    sys.modules[name] = module


def vllm_stand_ins():
    import pydantic.dataclasses

    class Logger(logging.getLoggerClass()):
        def warning_once(self, *_, **__):
            pass

    stand_in("vllm.logger", init_logger=Logger)
    stand_in("vllm.config.utils", config=pydantic.dataclasses.dataclass)
    stand_in("vllm.v1.worker.gpu.sample.gumbel", gumbel_sample=None)


def of_file(path, name):
    """A module from a file, beside one of the same name; its own imports find the files beside it."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def log10(p):
    """The tools' p-values underflow to 0."""
    return math.log10(p) if p > 0 else -math.inf


class Vllm:
    def __init__(self, config):
        vllm_stand_ins()
        from vllm.v1.watermarking.gumbel import DualKeyGumbelWatermarkDetector, GumbelWatermarkDetector

        dual = config["algorithm"] == "dual_key_gumbel"
        kind = DualKeyGumbelWatermarkDetector if dual else GumbelWatermarkDetector
        more = {"alpha": config["alpha"]} if dual else {}
        self.detector = kind(config["key"], context_width=config["context_width"], prf=config["prf"], **more)

    def __call__(self, ids, prompt=None, fully=True):
        found = self.detector.detect(ids)
        return {
            "scored": found.num_scored_tokens, "score": found.score, "log10_p": log10(found.p_value),
            "own": found.is_watermarked,
        }


class Sglang:
    def __init__(self, config):
        from sglang.srt.sampling.watermarking.detector import WatermarkDetector

        taken = ("key_b", "mixing_probability", "context_window")
        self.detector = WatermarkDetector(config["key"], **{name: config[name] for name in taken if name in config})

    def __call__(self, ids, prompt=None, fully=True):
        found = self.detector.detect_tokens(ids, prompt_token_ids=prompt or ()).combined
        p = found.log_p_value / math.log(10)
        # The tool has no threshold of its own.
        return {"scored": found.num_contexts, "score": found.score, "log10_p": p, "own": None}


class Kgw:
    def __init__(self, config, model_config):
        config = transformers.WatermarkingConfig(**config)
        self.detectors = [
            transformers.WatermarkDetector(model_config, "cpu", config, ignore_repeated_ngrams=once, max_cache_size=8192)
            for once in (False, True)
        ]

    def __call__(self, ids, prompt=None, fully=True):
        each, once = (
            detector(torch.tensor([ids]), return_dict=True) if wanted else None
            for detector, wanted in zip(self.detectors, (True, fully))
        )
        found = {
            "scored": int(each.num_tokens_scored[0]), "score": int(each.num_green_tokens[0]),
            "log10_p": log10(float(each.p_value[0])), "own": bool(each.prediction[0]),
        }
        return found if once is None else {
            **found, "scored_once": int(once.num_tokens_scored[0]), "score_once": int(once.num_green_tokens[0]),
            "log10_p_once": log10(float(once.p_value[0])),
        }


class SynthId:
    """The mean score: synthid-text's detector of the g-values and the mask of a processor."""

    def __init__(self, config, form):
        config = {name: value for name, value in config.items() if name != "debug_mode"}
        self.depth = len(config["keys"])
        from synthid_text import detector_mean

        self.mean = detector_mean
        sampling = {"temperature": 1.0, "top_k": 100, "device": torch.device("cpu")}
        if form == "package":
            from synthid_text import logits_processing

            self.processor = logits_processing.SynthIDLogitsProcessor(**{**config, **sampling})
        elif form == "head":
            # The package's own hash, which this one replaces, has another name for its module.
            kept = sys.modules.pop("synthid_text.hashing_function", None)
            of_file(SYNTHID_HEAD / "hashing_function.py", "synthid_text.hashing_function")
            head = of_file(SYNTHID_HEAD / "logits_processing.py", "synthid_head_logits_processing")
            sys.modules["synthid_text.hashing_function"] = kept
            self.processor = head.SynthIDLogitsProcessor(**{**config, **sampling})
        else:
            config = transformers.SynthIDTextWatermarkingConfig(**config)
            self.processor = config.construct_processor(0, "cpu")

    def __call__(self, ids, prompt=None, fully=True):
        rows = torch.tensor([ids])
        g = self.processor.compute_g_values(rows).numpy()
        mask = self.processor.compute_context_repetition_mask(rows).numpy().astype(g.dtype)
        scored = int(mask.sum())
        mean = float(self.mean.mean_score(g.copy(), mask)[0])
        bits = int((g * mask[:, :, None]).sum())
        # No p-value and no threshold in the tool: here the normal law of a mean of independent fair bits.
        z = (mean - 0.5) * math.sqrt(4 * self.depth * scored) if scored else 0.0
        return {
            "scored": scored, "score": bits, "mean": mean, "own": None,
            "weighted_mean": float(self.mean.weighted_mean_score(g.astype(numpy.float32), mask)[0]),
            "log10_p": log10(0.5 * math.erfc(z / math.sqrt(2))),
        }


def markllm_stand_ins():
    """The package's own __init__ files import every scheme and its models; what is run here needs none."""
    for name in ("", ".watermark", ".watermark.kgw", ".watermark.exp", ".utils", ".exceptions", ".visualize"):
        stand_in("markllm" + name, __path__=[str(CACHE.joinpath("site/markllm", *name.split(".")))])
    stand_in("markllm.utils.transformers_config", TransformersConfig=object)
    stand_in("markllm.visualize.data_for_visualization", DataForVisualization=object)


class MarkLlm:
    """Its classes take texts; a tokenizer that gives back ids as they are lets them read ids."""

    def __init__(self, file, vocab_size):
        markllm_stand_ins()
        # The package calls scipy.stats without importing it.
        import scipy.stats  # noqa: F401
        from markllm.watermark.exp.exp import EXP
        from markllm.watermark.kgw.kgw import KGW

        self.is_exp = json.loads(file.read_text())["algorithm_name"] == "EXP"
        model = types.SimpleNamespace(model=None, tokenizer=Ids(), vocab_size=vocab_size, device="cpu", gen_kwargs={})
        self.detector = (EXP if self.is_exp else KGW)(str(file), model)
        self.width = self.detector.config.prefix_length

    def __call__(self, ids, prompt=None, fully=True):
        found = self.detector.detect_watermark(ids)
        score = float(found["score"])
        # KGW has a threshold of z and no p-value: here its normal tail.
        p = score if self.is_exp else 0.5 * math.erfc(score / math.sqrt(2))
        return {
            "scored": len(ids) - self.width, "score": score, "log10_p": log10(p), "own": bool(found["is_watermarked"]),
        }


class Ids:
    """A tokenizer of ids that are ids already."""

    def encode(self, ids, **_):
        return torch.tensor([ids])

    def __call__(self, ids, **_):
        return {"input_ids": torch.tensor([ids])}


def versions():
    from importlib.metadata import version

    sys.path_importer_cache.clear()
    found = {name: version(name) for name in ("torch", "transformers", "jax", "sglang", "synthid-text", "markllm")}
    return {**found, "vllm": "0.33.0", "synthid-text repository": "addb4a1"}
