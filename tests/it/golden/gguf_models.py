"""Tiny random models in GGUF files, with the logits and the greedy tokens transformers computes from the same weights.

For each case `gguf/<case>.gguf` and `gguf/<case>.json` (its fields: see COMMENT) beside this file, and `gguf/chat.gguf`:
a model with the vocabulary of `gguf/tokenizer-qwen2.gguf`, for programs that want both in one file. Names of tensors and
keys, the order of rows and the offsets of norms are those that llama.cpp's convert_hf_to_gguf.py writes. The models, the
seeds and the greedy search are those of families.py. F16 and quantised files: the weights are rounded first, and
transformers computes with what the gguf package reads back.

Run: python tests/it/golden/gguf_models.py [case ...]
Needs gguf, torch and transformers (the JSON files name the versions); CPU, float32, one thread.
"""

import importlib.metadata
import math
import pathlib
import sys

import families
import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as Type
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).resolve().parent / "gguf"
COMMENT = (
    "Made by gguf_models.py with transformers, attn_implementation eager, float32 on the CPU, from the weights that the "
    "gguf package reads back from the file. prompts: token ids. prefill: for each prompt the logits at positions 0, "
    "len/2 and len-1 of one forward pass. greedy: tokens chosen with the KV cache, the first from the last prefill "
    "logits; the end token does not stop it. cached: for each prompt, logits i come from feeding greedy[i] at position "
    "len+i to the cached model. greedy_margin: the least distance between the two largest logits over all greedy steps. "
)
BASE = {**families.BASE, "vocab_size": 96, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2}
SMALL = dict(hidden_size=48, intermediate_size=80, num_attention_heads=3, num_key_value_heads=1)
GEMMA = dict(tie_word_embeddings=True, rms_norm_eps=1e-6, hidden_activation="gelu_pytorch_tanh", sliding_window=8,
             hidden_size=48, num_attention_heads=2, num_key_value_heads=1, head_dim=16, query_pre_attn_scalar=16)
LLAMA3 = families.rope(5e5, "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                       original_max_position_embeddings=32)
# The rows of every matrix but attn_output are whole blocks of 256.
K_QUANTS = dict(hidden_size=256, intermediate_size=256, num_hidden_layers=1, num_attention_heads=2,
                num_key_value_heads=1, head_dim=16)

# name: model type, file type, settings
CASES = {
    "llama-f32": ("llama", Type.F32, dict(**SMALL, num_hidden_layers=1)),
    "llama3-f16": ("llama", Type.F16, dict(**SMALL, head_dim=24, rope_parameters=LLAMA3)),
    "llama-bf16": ("llama", Type.BF16, dict(**SMALL)),
    "qwen2-f16": ("qwen2", Type.F16, dict(**SMALL, rope_parameters=families.rope(1e6))),
    "qwen3-f16": ("qwen3", Type.F16, dict(**SMALL, head_dim=24, rope_parameters=families.rope(1e6))),
    "gemma2-f16": ("gemma2", Type.F16, dict(**{**GEMMA, "hidden_size": 40, "num_attention_heads": 4,
                                               "num_key_value_heads": 2}, num_hidden_layers=3, intermediate_size=72,
                                            attn_logit_softcapping=5.0, final_logit_softcapping=10.0)),
    "gemma3-f16": ("gemma3_text", Type.F16, dict(**GEMMA, num_hidden_layers=7, intermediate_size=64, rope_parameters={
        "full_attention": families.rope(1e6), "sliding_attention": families.rope(1e4)})),
    "phi3-f16": ("phi3", Type.F16, dict(**SMALL, sliding_window=None,
                                        original_max_position_embeddings=128,
                                        rope_parameters=families.rope(1e4, partial_rotary_factor=0.75))),
    "olmo2-f16": ("olmo2", Type.F16, dict(**SMALL, rope_parameters=families.rope(5e5), rms_norm_eps=1e-6)),
    "granite-f16": ("granite", Type.F16, dict(**SMALL, embedding_multiplier=6.0, attention_multiplier=0.9,
                                              residual_multiplier=0.35, logits_scaling=8.0)),
}
CASES |= {f"llama-{kind.name.lower()}": ("llama", kind, dict())
          for kind in (Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0)}
CASES |= {f"llama-{kind.name.lower()}": ("llama", kind, K_QUANTS)
          for kind in (Type.Q2_K, Type.Q3_K, Type.Q4_K, Type.Q5_K, Type.Q6_K)}
# Where a block has its half-precision scales.
SCALES = {Type.Q2_K: (80, 82), Type.Q3_K: (108,), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}
# Mean quant over mean minimum, each in units of its 6 or 4 bit scale: the ratio that puts the values around zero.
CENTRE = {Type.Q2_K: 1.5, Type.Q4_K: 7.5, Type.Q5_K: 15.5}

LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.qkv_proj": "attn_qkv", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "mlp.gate_up_proj": "ffn_up", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}
# Where norms come after attention and after the feed-forward part.
AFTER = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
         "post_feedforward_layernorm": "post_ffw_norm"}


def name_of(name, architecture):
    """A parameter's name in the file."""
    top = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
           "lm_head.weight": "output.weight"}
    if name in top:
        return top[name]
    _, _, layer, rest = name.split(".", 3)
    part, end = rest.rsplit(".", 1)
    names = {**LAYER, **(AFTER if architecture in ("gemma2", "gemma3", "olmo2") else {})}
    return f"blk.{layer}.{names[part]}.{end}"


def interleaved(rows, heads):
    """Rows of a head from halves (0, d/2, 1, d/2+1, ... in the file) as the rotation of neighbours wants them."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, 2, half, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def halves(rows, heads):
    """The way back."""
    half = rows.shape[0] // heads // 2
    return rows.reshape(heads, half, 2, *rows.shape[1:]).swapaxes(1, 2).reshape(rows.shape)


def permuted(name, config):
    """Heads of a matrix whose rows the converter permutes, or nothing."""
    if config.model_type not in ("llama", "granite"):
        return None
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    return next((count for part, count in heads.items() if part in name), None)


def random_blocks(kind, values, generator):
    """Valid blocks of a K type with random contents, the spread of `values` and a mean near zero."""
    block, size = gguf.GGML_QUANT_SIZES[kind]
    count = values.size // block
    data = generator.integers(0, 256, (count, size), dtype=np.uint8)
    spread = generator.uniform(0.7, 1.3, count)
    if kind == Type.Q6_K:  # Signed 8-bit scales.
        data[:, 192:208] = generator.integers(20, 100, (count, 16), dtype=np.uint8)

    def scaled(scale):
        for at, factor in zip(SCALES[kind], (1.0, CENTRE.get(kind, 1.0))):
            data[:, at:at + 2] = (spread * scale * factor).astype(np.float16).view(np.uint8).reshape(count, 2)
        return data.reshape(*values.shape[:-1], -1)

    trial = gguf.dequantize(scaled(0.01), kind).std()
    return scaled(0.01 * values.std() / trial)


def stored(values, kind, generator):
    """Type and bytes for a tensor in a file of this type."""
    if values.ndim == 1 or kind == Type.F32:
        return Type.F32, values.astype(np.float32)
    if kind == Type.F16:
        return kind, values.astype(np.float16)
    if kind in SCALES and values.shape[-1] % 256 == 0:
        return kind, random_blocks(kind, values, generator)
    if kind in SCALES:
        kind = Type.Q8_0
    return kind, gguf.quantize(values.astype(np.float32), kind)


def read_back(kind, data):
    return data.astype(np.float32) if kind in (Type.F32, Type.F16) else gguf.dequantize(data, kind)


def rounded(model, kind, seed):
    """What the file stores, and the model with the weights that are read back."""
    generator = np.random.default_rng(seed)
    config, tensors = model.config, {}
    architecture = config.model_type.removesuffix("_text")
    shift = 1.0 if architecture.startswith("gemma") else 0.0
    with torch.no_grad():
        for name, weight in model.named_parameters():
            values, heads = weight.numpy().copy(), permuted(name, config)
            if heads:
                values = interleaved(values, heads)
            if "norm" in name:
                values = values + np.float32(shift)
            file_kind, data = stored(values, kind, generator)
            tensors[name_of(name, architecture)] = (file_kind, data)
            values = read_back(file_kind, data)
            if "norm" in name:
                values = values - np.float32(shift)
            weight.copy_(torch.from_numpy(np.ascontiguousarray(halves(values, heads) if heads else values)))
    return tensors


def rope_factors(config):
    """What the llama3 scaling divides each frequency by."""
    rope, dims = config.rope_parameters, config.head_dim
    factor, low, high = rope["factor"], rope["low_freq_factor"], rope["high_freq_factor"]
    factors = []
    for i in range(0, dims, 2):
        turns = rope["original_max_position_embeddings"] / (2 * math.pi * rope["rope_theta"] ** (i / dims))
        blend = min(max((turns - low) / (high - low), 0.0), 1.0)
        factors.append(1 / ((1 - blend) / factor + blend))
    return np.array(factors, dtype=np.float32)


def copy_vocabulary(writer, source):
    """The tokenizer's keys of another file."""
    reader = gguf.GGUFReader(source)
    for key, field in reader.fields.items():
        if key.startswith("tokenizer."):
            kind = field.types[0]
            writer.add_key_value(key, field.contents(), kind, field.types[1] if len(field.types) > 1 else None)
    return len(reader.fields["tokenizer.ggml.tokens"].data)


def write(path, model, tensors, vocabulary=None):
    config = model.config
    architecture = config.model_type.removesuffix("_text")
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    rope = config.rope_parameters
    rope = rope.get("full_attention", rope)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(path.stem)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    if architecture != "gemma2":
        writer.add_rope_freq_base(rope["rope_theta"])
    if architecture in ("llama", "granite", "phi3"):
        writer.add_rope_dimension_count(int(head_dim * rope.get("partial_rotary_factor", 1.0)))
    if head_dim * config.num_attention_heads != config.hidden_size or architecture.startswith("gemma"):
        writer.add_key_length(head_dim)
        writer.add_value_length(head_dim)
    if architecture.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    if architecture == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    if architecture == "phi3":
        writer.add_rope_scaling_orig_ctx_len(config.original_max_position_embeddings)
        writer.add_sliding_window(config.sliding_window or 0)
    if architecture == "granite":
        writer.add_attention_scale(config.attention_multiplier)
        writer.add_embedding_scale(config.embedding_multiplier)
        writer.add_residual_scale(config.residual_multiplier)
        writer.add_logit_scale(config.logits_scaling)
    if vocabulary:
        assert copy_vocabulary(writer, vocabulary) == config.vocab_size
    else:
        writer.add_tokenizer_model("none")
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    if rope["rope_type"] == "llama3":
        writer.add_tensor("rope_freqs.weight", rope_factors(config))
    for name, (file_kind, data) in tensors.items():
        raw = None if file_kind in (Type.F32, Type.F16) else file_kind
        writer.add_tensor(name, np.ascontiguousarray(data), raw_dtype=raw)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def settings_of(name):
    model_type, _, more = CASES[name]
    return {"model_type": model_type, **BASE, "rope_parameters": families.rope(), **more}


def search(name, prompts):
    """The first seed for which every greedy step has a clear winner."""
    config = families.config_of(settings_of(name))
    for seed in range(1, 2000):
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager").float().eval()
        families.fill(model, seed)
        tensors = rounded(model, CASES[name][1], seed)
        plain = families.all_greedy(model, prompts, families.STEPS)
        if plain is not None:
            return seed, model, tensors, plain
    raise SystemExit(f"{name}: no seed gives clear greedy choices")


def make(name):
    generator = torch.Generator().manual_seed(len(name))
    prompts = [torch.randint(3, BASE["vocab_size"], (n,), generator=generator).tolist() for n in families.LENGTHS]
    seed, model, tensors, plain = search(name, prompts)
    path = HERE / f"{name}.gguf"
    HERE.mkdir(exist_ok=True)
    write(path, model, tensors)
    full = [families.forward(model, ids) for ids in prompts]
    fields = {
        "comment": COMMENT,
        "generator": "tests/it/golden/gguf_models.py",
        "versions": {**families.VERSIONS, "gguf": importlib.metadata.version("gguf")},
        "seed": seed,
        "prompts": prompts,
        "prefill": [[logits[i] for i in (0, len(ids) // 2, len(ids) - 1)] for logits, ids in zip(full, prompts)],
        "cached": [rows[:families.CACHED] for _, rows, _ in plain],
        "greedy": [tokens for tokens, _, _ in plain],
        "greedy_margin": min(least for _, _, least in plain),
    }
    lines = [f'"{key}":{families.text(value)}' for key, value in fields.items()]
    path.with_suffix(".json").write_text("{\n" + ",\n".join(lines).replace("versions\":{\n", "versions\":{") + "\n}\n")
    spread = torch.cat(full).std().item()
    print(f"{name}: seed {seed}, {path.stat().st_size // 1000} kB, logits' spread {spread:.2f}", flush=True)


def make_chat():
    settings = {"model_type": "llama", **BASE, **SMALL, "num_hidden_layers": 1, "tie_word_embeddings": True,
                "vocab_size": 629, "max_position_embeddings": 512, "rope_parameters": families.rope()}
    model = AutoModelForCausalLM.from_config(families.config_of(settings)).float().eval()
    families.fill(model, 1)
    write(HERE / "chat.gguf", model, rounded(model, Type.F16, 1), HERE / "tokenizer-qwen2.gguf")


def main():
    torch.set_num_threads(1)
    families.transformers.logging.set_verbosity_error()
    for name in sys.argv[1:] or CASES:
        make(name)
    make_chat()


if __name__ == "__main__":
    main()
