"""Tiny random checkpoints of the model families, with the logits and the greedy tokens transformers computes for them.

For each case a folder `families/<case>/` beside this file: `config.json` and the safetensors files as save_pretrained
writes them, and `reference.json` (its fields: see COMMENT). The weights come from a seeded generator; the seed is the
first for which every greedy step has a clear winner. For every case the script also asserts that each named setting
(ABLATE) moves the logits, so that an engine which ignores the setting cannot pass, and that the older form of the
configuration gives the same model.

Run: python tests/it/golden/families.py [case ...]
Needs torch and transformers (reference.json names the versions); CPU, float32, one thread.
"""

import copy
import json
import pathlib
import platform
import shutil
import sys
import zlib

import torch
import transformers
from transformers import AutoConfig, AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent / "families"
LENGTHS = (3, 17, 40)
STEPS = 64
CACHED = 8
MARGIN = 5e-3
MOVED = 2e-2
DISTINCT = 8
VERSIONS = {
    "torch": torch.__version__,
    "transformers": transformers.__version__,
    "python": platform.python_version(),
}

COMMENT = (
    "Made by families.py with transformers, attn_implementation eager, float32 on the CPU. "
    "prompts: token ids. prefill: for each prompt the logits at positions 0, len/2 and len-1 of one forward pass. "
    "greedy: tokens chosen with the KV cache, the first from the last prefill logits; the end token does not stop it. "
    "cached: for each prompt, logits i come from feeding greedy[i] at position len+i to the cached model. "
    "batch: last-position logits of each prompt in one left-padded batch with attention_mask and position_ids. "
    "greedy_margin: the least distance between the two largest logits over all greedy steps. "
    "bf16: rounded = last-position logits in float32 arithmetic with the weights rounded to bfloat16, greedy and "
    "margin with the same weights; native = last-position logits of the model loaded and computed in bfloat16, which "
    "keeps the rotary frequencies in float32. old_config: config.json in the form published before transformers 5; "
    "transformers reads the same model from it. "
    "differences: the largest absolute difference in logits within transformers itself, cached against one forward "
    "pass, batch against alone, bf16.rounded against prefill and bf16.native against bf16.rounded."
)

BASE = dict(
    vocab_size=97,
    hidden_size=40,
    intermediate_size=56,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=128,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
    tie_word_embeddings=False,
)


def rope(theta=1e4, kind="default", **more):
    return {"rope_theta": theta, "rope_type": kind, **more}


CASES = {}
ABLATE = {}
NOTES = {}


def case(name, model_type, ablate=(), note="", **settings):
    CASES[name] = {"model_type": model_type, **BASE, **settings}
    ABLATE[name] = list(ablate)
    NOTES[name] = note


WINDOW = "A window of w shows w positions, the token itself and the w-1 before it, in prefill and cached alike. "

case("llama1", "llama", num_attention_heads=5, num_key_value_heads=5, intermediate_size=88, rope_parameters=rope(),
     ablate=[dict(rope_parameters=rope(2e4))])
case("llama2", "llama", vocab_size=96, hidden_size=48, num_attention_heads=6, rms_norm_eps=1e-2, rope_parameters=rope(),
     ablate=[dict(rms_norm_eps=1e-5)])
case("llama3", "llama", head_dim=24,
     rope_parameters=rope(5e5, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                          original_max_position_embeddings=32),
     ablate=[dict(rope_parameters=rope(5e5)),
             dict(rope_parameters=rope(5e5, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=1.01,
                                       original_max_position_embeddings=32))],
     note="Of the 12 rotary frequencies the scaling keeps, blends and divides at least one each. ")
case("llama-linear", "llama", rope_parameters=rope(1e4, "linear", factor=2.0), ablate=[dict(rope_parameters=rope())])
case("llama-yarn", "llama", head_dim=24,
     rope_parameters=rope(1e4, "yarn", factor=4.0, original_max_position_embeddings=16),
     ablate=[dict(rope_parameters=rope()),
             dict(rope_parameters=rope(1e4, "yarn", factor=4.0, original_max_position_embeddings=16,
                                       attention_factor=1.0))],
     note="The attention factor 0.1 ln(factor) + 1 scales both cos and sin. ")
case("llama-bias", "llama", attention_bias=True, mlp_bias=True, rope_parameters=rope())
case("smollm", "llama", hidden_size=36, num_attention_heads=3, num_key_value_heads=1, num_hidden_layers=3,
     intermediate_size=72, tie_word_embeddings=True, rope_parameters=rope(1e5),
     ablate=[dict(rope_parameters=rope(1e4))])
case("llama-sharded", "llama", vocab_size=64, hidden_size=32, rope_parameters=rope())
case("llama-bf16", "llama", vocab_size=64, hidden_size=32, rope_parameters=rope(),
     note="The weights are stored in bfloat16; every field but bf16.native is computed in float32 from them. ")
case("llama-f16", "llama", vocab_size=64, hidden_size=32, rope_parameters=rope(),
     note="The weights are stored in float16; prefill, cached, greedy and batch are computed in float32 from them. ")

case("mistral", "mistral", sliding_window=8, rope_parameters=rope(), note=WINDOW,
     ablate=[dict(sliding_window=None), dict(sliding_window=7), dict(sliding_window=9)])
case("mistral-full", "mistral", sliding_window=None, head_dim=12, rope_parameters=rope(1e6),
     ablate=[dict(sliding_window=8)], note="num_attention_heads * head_dim (48) is not hidden_size (40). ")

case("qwen2", "qwen2", tie_word_embeddings=True, rms_norm_eps=1e-6, rope_parameters=rope(1e6))
case("qwen2-window", "qwen2", num_hidden_layers=3, use_sliding_window=True, sliding_window=8, max_window_layers=1,
     rope_parameters=rope(1e4), note=WINDOW + "Layers from max_window_layers on slide, the ones before it do not. ",
     ablate=[dict(layer_types=["full_attention"] * 3), dict(layer_types=["sliding_attention"] * 3),
             dict(sliding_window=7), dict(sliding_window=9)])
case("qwen3", "qwen3", head_dim=16, rms_norm_eps=1e-6, rope_parameters=rope(1e6),
     note="q_norm and k_norm act on each head before the rotary embedding. ")

GEMMA = (
    "Norm weights are offsets from 1; embeddings are multiplied by sqrt(hidden_size), which a model in bfloat16 rounds "
    "to bfloat16 and the float32 arithmetic of bf16.rounded does not. "
)

case("gemma1", "gemma", num_key_value_heads=1, head_dim=16, tie_word_embeddings=True, rms_norm_eps=1e-6,
     hidden_act="gelu_pytorch_tanh", rope_parameters=rope(), note=GEMMA, ablate=[dict(hidden_act="silu")])
case("gemma2", "gemma2", num_hidden_layers=3, head_dim=12, intermediate_size=72, tie_word_embeddings=True,
     rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=5, attn_logit_softcapping=5.0,
     final_logit_softcapping=10.0, sliding_window=8, rope_parameters=rope(),
     note=GEMMA + WINDOW + "Even layers slide. Scores are scaled, then capped as c tanh(x/c), then masked. ",
     ablate=[dict(query_pre_attn_scalar=12), dict(attn_logit_softcapping=None), dict(final_logit_softcapping=None),
             dict(sliding_window=7), dict(sliding_window=9),
             dict(layer_types=["full_attention", "sliding_attention", "full_attention"])])


def gemma3(name, full, note=""):
    local = rope(1e4)
    kinds = ["sliding_attention", "full_attention", "sliding_attention"]
    case(name, "gemma3_text", num_hidden_layers=3, head_dim=12, intermediate_size=72, tie_word_embeddings=True,
         rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=5, sliding_window=8,
         layer_types=kinds, rope_parameters={"full_attention": full, "sliding_attention": local},
         note=GEMMA + WINDOW + "Full and sliding layers have rotary embeddings of their own; q_norm and k_norm act on "
              "each head before them, with offsets from 1 too. " + note,
         ablate=[dict(query_pre_attn_scalar=12), dict(sliding_window=7), dict(sliding_window=9),
                 dict(layer_types=kinds[1:] + kinds[:1]),
                 dict(rope_parameters={"full_attention": local, "sliding_attention": local}),
                 dict(rope_parameters={"full_attention": full, "sliding_attention": full})]
         + ([] if full["rope_type"] == "default" else
            [dict(rope_parameters={"full_attention": rope(full["rope_theta"]), "sliding_attention": local})]))


gemma3("gemma3", rope(1e6))
gemma3("gemma3-scaled", rope(1e6, "linear", factor=8.0), "The scaling acts on the full layers only. ")


def long_rope(pairs, partial=1.0):
    short = [round(1.0 + 0.15 * i, 2) for i in range(pairs)]
    long = [round(1.3 + 0.9 * i, 2) for i in range(pairs)]
    return rope(1e4, "longrope", short_factor=short, long_factor=long, original_max_position_embeddings=32,
                partial_rotary_factor=partial)


def without_lists(parameters, factors):
    return dict(rope_parameters={**parameters, "short_factor": factors, "long_factor": factors})


LONG = (
    "transformers takes the long factors for all positions of a forward pass whose longest position exceeds "
    "original_max_position_embeddings (32), else the short ones; keys already cached are not rotated anew. cos and sin "
    "are scaled by sqrt(1 + ln(max/original) / ln(original)) with either list. "
)
PHI3 = dict(hidden_size=48, num_attention_heads=3, num_key_value_heads=3, original_max_position_embeddings=128,
            sliding_window=None)

case("phi3", "phi3", **{**PHI3, "sliding_window": 16}, rope_parameters=rope(partial_rotary_factor=1.0),
     note=WINDOW + "qkv_proj holds q, k, v one below the other, gate_up_proj gate and up. ",
     ablate=[dict(sliding_window=None), dict(sliding_window=15), dict(sliding_window=17)])
case("phi3-partial", "phi3", **{**PHI3, "num_key_value_heads": 1, "tie_word_embeddings": True},
     rope_parameters=rope(partial_rotary_factor=0.75),
     ablate=[dict(rope_parameters=rope(partial_rotary_factor=1.0))],
     note="The first 12 of each head's 16 dimensions are rotated. ")
case("phi3-longrope", "phi3", **{**PHI3, "original_max_position_embeddings": 32}, rope_parameters=long_rope(8),
     ablate=[without_lists(long_rope(8), [1.0] * 8), without_lists(long_rope(8), long_rope(8)["long_factor"]),
             dict(rope_parameters={**long_rope(8), "attention_factor": 1.0})],
     note=LONG + "Here nothing goes beyond 32 positions: 24 greedy steps. ")
case("phi3-longrope-long", "phi3", **{**PHI3, "original_max_position_embeddings": 32, "num_key_value_heads": 1},
     rope_parameters=long_rope(6, 0.75),
     ablate=[without_lists(long_rope(6, 0.75), [1.0] * 6),
             without_lists(long_rope(6, 0.75), long_rope(6)["short_factor"]),
             dict(rope_parameters={**long_rope(6, 0.75), "attention_factor": 1.0})],
     note=LONG + "Here every prompt is longer than 32, so that all of it uses the long factors. The first 12 of each "
                 "head's 16 dimensions are rotated. ")

case("olmo2", "olmo2", rms_norm_eps=1e-6, rope_parameters=rope(5e5),
     note="Norms come after attention and after the MLP, none before; q_norm and k_norm act on the whole projection. ")
MULTIPLIERS = dict(embedding_multiplier=6.0, attention_multiplier=0.9, residual_multiplier=0.35, logits_scaling=8.0)
case("granite", "granite", **MULTIPLIERS, rope_parameters=rope(), ablate=[{key: 1.0} for key in MULTIPLIERS]
     + [dict(attention_multiplier=10**-0.5)],
     note="attention_multiplier replaces 1/sqrt(head_dim); logits are divided by logits_scaling. ")
case("smollm3", "smollm3", num_hidden_layers=3, no_rope_layers=[1, 0, 1], no_rope_layer_interval=2,
     tie_word_embeddings=True, rope_parameters=rope(5e6), ablate=[dict(no_rope_layers=[1, 1, 1]),
                                                                  dict(no_rope_layers=[0, 1, 0])],
     note="no_rope_layers has 0 where a layer has no rotary embedding. ")
OLMO3_YARN = rope(5e5, "yarn", factor=4.0, original_max_position_embeddings=16, attention_factor=1.2, beta_fast=2.0,
                  beta_slow=0.01)
case("olmo3", "olmo3", num_hidden_layers=3, rms_norm_eps=1e-6, sliding_window=8,
     layer_types=["sliding_attention", "sliding_attention", "full_attention"],
     rope_parameters={"full_attention": OLMO3_YARN, "sliding_attention": rope(5e5)},
     note=WINDOW + "As olmo2, with sliding layers; the scaling acts on the full layers only. ",
     ablate=[dict(sliding_window=7), dict(sliding_window=9),
             dict(rope_parameters={"full_attention": rope(5e5), "sliding_attention": rope(5e5)}),
             dict(rope_parameters={"full_attention": OLMO3_YARN, "sliding_attention": OLMO3_YARN})])


LENGTHS_OF = {"phi3-longrope": (3, 5, 8), "phi3-longrope-long": (40, 45, 50)}
STEPS_OF = {"phi3-longrope": 24}
STORED = {"llama-bf16": torch.bfloat16, "llama-f16": torch.float16}


def prompts_of(name):
    generator = torch.Generator().manual_seed(zlib.crc32(name.encode()))
    vocab = CASES[name]["vocab_size"]
    return [torch.randint(3, vocab, (n,), generator=generator).tolist() for n in LENGTHS_OF.get(name, LENGTHS)]


def config_of(settings):
    settings = copy.deepcopy(settings)
    config = AutoConfig.for_model(settings.pop("model_type"), **settings)
    config._attn_implementation = "eager"
    return config


def fill(model, seed):
    """Random weights whose logits spread over a few units: matrices scale with 1/sqrt(inputs)."""
    generator = torch.Generator().manual_seed(seed)
    config = model.config
    gemma = config.model_type.startswith("gemma")
    embedding = {"gemma": 0.05, "gemma2": 0.12, "gemma3_text": 0.12}.get(config.model_type)
    embedding = embedding or (0.4 if config.tie_word_embeddings else 1.0)
    # Gemma's last norm is large, to make up for the small embeddings its head is tied to.
    last_norm = 3.0 / (embedding * config.hidden_size**0.5) - 1.0 if gemma else 1.0
    embedding *= 0.6 / getattr(config, "embedding_multiplier", 0.6)
    head = 3.0 * getattr(config, "logits_scaling", 1.0)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=generator)
            if "norm" in name:
                noise = (last_norm if name == "model.norm.weight" else 0.0 if gemma else 1.0) + 0.2 * noise
            elif name.endswith("bias"):
                noise = 0.3 * noise
            elif "embed_tokens" in name:
                noise = embedding * noise
            elif "lm_head" in name:
                noise = head * noise / weight.shape[1] ** 0.5
            else:
                gain = 1.5 if "q_proj" in name or "k_proj" in name or "qkv" in name else 1.0
                noise = gain * noise / weight.shape[1] ** 0.5
            weight.copy_(noise)


def build(settings, seed, stored=torch.float32):
    model = AutoModelForCausalLM.from_config(config_of(settings), attn_implementation="eager").float().eval()
    fill(model, seed)
    rounded_to(model, stored)
    return model


def rounded_to(model, dtype):
    with torch.no_grad():
        for weight in model.parameters():
            weight.copy_(weight.to(dtype))
    return model


@torch.no_grad()
def forward(model, ids, **more):
    return model(input_ids=torch.tensor([ids]), use_cache=False, **more).logits[0].float()


@torch.no_grad()
def greedy(model, ids, steps, wanted=0.0):
    """Tokens, logits after each token fed, least top-2 margin. Stops early when the margin falls below `wanted`."""
    out = model(input_ids=torch.tensor([ids]), use_cache=True)
    tokens, rows, least = [], [], float("inf")
    while True:
        logits = out.logits[0, -1].float()
        top = logits.topk(2)
        least = min(least, (top.values[0] - top.values[1]).item())
        tokens.append(top.indices[0].item())
        if tokens[1:]:
            rows.append(logits)
        if len(tokens) == steps or least < wanted:
            return tokens, rows, least
        out = model(input_ids=torch.tensor([tokens[-1:]]), past_key_values=out.past_key_values, use_cache=True)


def all_greedy(model, prompts, steps):
    """greedy for each prompt, or None where a margin is too small or a sequence too dull."""
    found = []
    for ids in prompts:
        tokens, rows, least = greedy(model, ids, steps, MARGIN)
        if least < MARGIN or len(set(tokens)) < DISTINCT:
            return None
        found.append((tokens, rows, least))
    return found


def search(name, prompts):
    for seed in range(1, 2000):
        model = build(CASES[name], seed, STORED.get(name, torch.float32))
        steps = STEPS_OF.get(name, STEPS)
        plain = all_greedy(model, prompts, steps)
        if plain is None:
            continue
        rounded = rounded_to(copy.deepcopy(model), torch.bfloat16)
        coarse = all_greedy(rounded, prompts, steps)
        if coarse is not None:
            return seed, model, plain, rounded, coarse
    raise SystemExit(f"{name}: no seed gives clear greedy choices")


@torch.no_grad()
def left_padded(model, prompts):
    longest = max(len(ids) for ids in prompts)
    ids = torch.tensor([[0] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    return list(model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits[:, -1])


def largest(a, b):
    return max((x - y).abs().max().item() for x, y in zip(a, b, strict=True))


def save(name, model):
    folder = HERE / name
    if folder.exists():
        shutil.rmtree(folder)
    shard = {"max_shard_size": "40KB"} if name.endswith("sharded") else {}
    stored = copy.deepcopy(model).to(STORED.get(name, torch.float32))
    stored.save_pretrained(folder, **shard)
    (folder / "generation_config.json").unlink(missing_ok=True)
    return folder


def old_form(config):
    """The configuration as files published before transformers 5 have it."""
    new = ("rope_parameters", "layer_types", "dtype", "transformers_version", "_sliding_window_pattern")
    old = {key: value for key, value in config.items() if key not in new}
    if old.get("head_dim") == config["hidden_size"] // config["num_attention_heads"]:
        del old["head_dim"]
    old["torch_dtype"] = config["dtype"]
    parameters = copy.deepcopy(config["rope_parameters"])
    model_type = config["model_type"]
    if model_type == "gemma3_text":
        old["rope_local_base_freq"] = parameters["sliding_attention"]["rope_theta"]
        old["sliding_window_pattern"] = config["layer_types"].index("full_attention") + 1
    if "layer_types" in config and model_type in ("olmo3", "smollm3"):
        old["layer_types"] = config["layer_types"]
    parameters = parameters.get("full_attention", parameters)
    old["rope_theta"] = parameters.pop("rope_theta")
    if "partial_rotary_factor" in parameters:
        old["partial_rotary_factor"] = parameters.pop("partial_rotary_factor")
    if model_type == "phi3":
        parameters.pop("original_max_position_embeddings", None)
    if parameters["rope_type"] in ("linear", "yarn", "longrope") and "layer_types" not in config:
        parameters["type"] = parameters.pop("rope_type")
    old["rope_scaling"] = None if parameters.get("rope_type") == "default" else parameters
    return old


def check_settings(name, model, prompts, want):
    """Every ablation moves the last logits of the longest prompt; returns the least movement."""
    least = float("inf")
    for change in ABLATE[name]:
        other = AutoModelForCausalLM.from_config(config_of({**CASES[name], **change}), attn_implementation="eager")
        other = other.float().eval()
        other.load_state_dict(model.state_dict())
        moved = largest([forward(other, prompts[-1])[-1]], [want])
        assert moved > MOVED, f"{name}: {change} moves the logits by {moved} only"
        least = min(least, moved)
    return least


def check_old_form(name, old, model, prompts, want):
    config = AutoConfig.for_model(**copy.deepcopy(old))
    other = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
    other.load_state_dict(model.state_dict())
    assert largest([forward(other, prompts[-1])[-1]], [want]) == 0, f"{name}: the old form is another model"


def text(value):
    """Compact JSON, numbers with 7 significant digits."""
    if torch.is_tensor(value):
        value = value.tolist()
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(text(x) for x in value) + "]"
    return json.dumps(value)


def write(folder, fields):
    lines = []
    for key, value in fields.items():
        if key == "bf16":
            inner = ",\n".join(f"{json.dumps(k)}:{text(v)}" for k, v in value.items())
            lines.append(f'"bf16":{{\n{inner}\n}}')
        else:
            lines.append(f"{json.dumps(key)}:{text(value)}")
    (folder / "reference.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


def make(name):
    prompts = prompts_of(name)
    seed, model, plain, rounded, coarse = search(name, prompts)
    folder = save(name, model)
    full = [forward(model, ids) for ids in prompts]
    last = [logits[-1] for logits in full]
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    assert largest([forward(loaded, ids)[-1] for ids in prompts], last) == 0, f"{name}: not what was saved"
    native_model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, attn_implementation="eager")
    native = [forward(native_model.eval(), ids)[-1] for ids in prompts]
    rounded_last = [forward(rounded, ids)[-1] for ids in prompts]
    cached = [rows[:CACHED] for _, rows, _ in plain]
    again = [forward(model, ids + tokens[:CACHED])[len(ids):] for ids, (tokens, _, _) in zip(prompts, plain)]
    batch = left_padded(model, prompts)
    old = old_form(json.loads((folder / "config.json").read_text()))
    check_old_form(name, old, model, prompts, last[-1])
    moved = check_settings(name, model, prompts, last[-1])
    differences = {
        "cached": max(largest(a, b) for a, b in zip(cached, again)),
        "batch": largest(batch, last),
        "rounded": largest(rounded_last, last),
        "native": largest(native, rounded_last),
    }
    write(folder, {
        "comment": NOTES[name] + COMMENT,
        "generator": "tests/it/golden/families.py",
        "versions": VERSIONS,
        "seed": seed,
        "old_config": old,
        "prompts": prompts,
        "prefill": [[logits[i] for i in (0, len(ids) // 2, len(ids) - 1)] for logits, ids in zip(full, prompts)],
        "cached": cached,
        "greedy": [tokens for tokens, _, _ in plain],
        "greedy_margin": min(least for _, _, least in plain),
        "batch": batch,
        "differences": {key: float(f"{value:.2g}") for key, value in differences.items()},
        "bf16": {
            "rounded": rounded_last,
            "greedy": [tokens for tokens, _, _ in coarse],
            "greedy_margin": min(least for _, _, least in coarse),
            "native": native,
        },
    })
    return {
        "case": name,
        "seed": seed,
        "kB": round(sum(f.stat().st_size for f in folder.glob("*safetensors*")) / 1000),
        "reference kB": round((folder / "reference.json").stat().st_size / 1000),
        "logit std": round(torch.cat(full).std().item(), 2),
        "distinct": min(len(set(tokens)) for tokens, _, _ in plain),
        "margin": round(min(least for _, _, least in plain), 4),
        **{key: f"{value:.1e}" for key, value in differences.items()},
        "setting moves": round(moved, 3) if ABLATE[name] else None,
    }


def main():
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    print(VERSIONS)
    for name in sys.argv[1:] or CASES:
        print(make(name), flush=True)


if __name__ == "__main__":
    main()
