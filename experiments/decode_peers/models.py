"""Makes the models that decode_peers measures: random weights in the shape of a 27.8 M Llama and of a 0.5 B Qwen 2.5.

Run: python experiments/decode_peers/models.py FOLDER LLAMA_QUANTIZE

Writes FOLDER/<name>/ (transformers' form, f32), FOLDER/<name>-f32.gguf, and with llama.cpp's `llama-quantize` q8_0 and q4_k_s files.
Needs torch, transformers, gguf.
"""

import pathlib
import subprocess
import sys

import gguf
import torch
import transformers

SHAPES = {
    "llama-28m": transformers.LlamaConfig(
        vocab_size=8192, hidden_size=512, intermediate_size=1408, num_hidden_layers=8, num_attention_heads=8,
        num_key_value_heads=4, max_position_embeddings=2048, tie_word_embeddings=False),
    # The shape of Qwen2.5-0.5B under the Llama architecture, but for a width that q4_k can hold (256 divides it).
    "llama-500m": transformers.LlamaConfig(
        vocab_size=151936, hidden_size=1024, intermediate_size=4096, num_hidden_layers=20, num_attention_heads=16,
        num_key_value_heads=4, head_dim=64, max_position_embeddings=2048, tie_word_embeddings=True),
}
NAMES = {
    "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm", "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name):
    name = name.removesuffix(".weight")
    if name.startswith("model.layers."):
        _, _, layer, rest = name.split(".", 3)
        return f"blk.{layer}.{NAMES[rest]}.weight"
    return f"{NAMES[name]}.weight"


def interleave(weight, heads):
    """llama.cpp wants dimensions that turn together side by side."""
    return weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(model, config, path):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    # llama.cpp wants a vocabulary; nothing here reads text.
    size = config.vocab_size
    writer.add_tokenizer_model("llama")
    writer.add_token_list(["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
                          + [f"word{i}" for i in range(size - 259)])
    writer.add_token_scores([0.0] * size)
    writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (size - 259))
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        if "q_proj" in name:
            tensor = interleave(tensor, config.num_attention_heads)
        if "k_proj" in name:
            tensor = interleave(tensor, config.num_key_value_heads)
        writer.add_tensor(gguf_name(name), tensor.float().contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main():
    folder = pathlib.Path(sys.argv[1])
    for name, config in SHAPES.items():
        torch.manual_seed(1)
        model = transformers.LlamaForCausalLM(config).eval()
        print(name, sum(p.numel() for p in model.parameters()))
        model.save_pretrained(folder / name, max_shard_size="20GB")
        write_gguf(model, config, folder / f"{name}-f32.gguf")
        for kind in ("q8_0", "q4_k_s"):
            subprocess.run([sys.argv[2], folder / f"{name}-f32.gguf", folder / f"{name}-{kind}.gguf", kind],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


main()
