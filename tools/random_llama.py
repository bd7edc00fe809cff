#!/usr/bin/env python3
"""Write a randomly initialised Llama as a Hugging Face folder, for benchmarks.

The defaults are the shape of Llama-3.2-1B with a vocabulary of 32768: about 2 GB. With --experts it
is a Mixtral, of so many experts of --ffn. Tensors are made and written one at a time, so little
memory is needed. The tokenizer is a byte-level one without
merges (one token per byte), enough to run every command on the model.

    python tools/random_llama.py OUT [--seed 0] [--layers 16] [--hidden 2048] ...

Needs numpy.
"""

import argparse
import json
import pathlib
import struct

import numpy as np

ROPE = {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192}


def mlp_shapes(prefix: str, a: argparse.Namespace) -> dict:
    names, place = ("down_proj", "gate_proj", "up_proj"), [prefix + "mlp."]
    if a.experts:
        names, moe = ("w2", "w1", "w3"), prefix + "block_sparse_moe."
        place = [f"{moe}experts.{e}." for e in range(a.experts)]
    down, gate, up = names
    shapes = {moe + "gate.weight": (a.experts, a.hidden)} if a.experts else {}
    for prefix in place:
        shapes |= {f"{prefix}{down}.weight": (a.hidden, a.ffn),
                   f"{prefix}{gate}.weight": (a.ffn, a.hidden),
                   f"{prefix}{up}.weight": (a.ffn, a.hidden)}
    return shapes


def tensor_shapes(a: argparse.Namespace) -> dict:
    kv = a.kv_heads * a.head_dim
    shapes = {"model.embed_tokens.weight": (a.vocab, a.hidden)}
    for layer in range(a.layers):
        prefix = f"model.layers.{layer}."
        shapes |= {
            prefix + "input_layernorm.weight": (a.hidden,),
            **mlp_shapes(prefix, a),
            prefix + "post_attention_layernorm.weight": (a.hidden,),
            prefix + "self_attn.k_proj.weight": (kv, a.hidden),
            prefix + "self_attn.o_proj.weight": (a.hidden, a.heads * a.head_dim),
            prefix + "self_attn.q_proj.weight": (a.heads * a.head_dim, a.hidden),
            prefix + "self_attn.v_proj.weight": (kv, a.hidden),
        }
    shapes["model.norm.weight"] = (a.hidden,)
    if a.untied:
        shapes["lm_head.weight"] = (a.vocab, a.hidden)
    return shapes


def bf16(values: np.ndarray) -> np.ndarray:
    """Round float32 to the nearest bfloat16, ties to even, as uint16."""
    bits = values.view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def write_weights(path: pathlib.Path, shapes: dict, seed: int) -> None:
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    generator = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for shape in shapes.values():
            if len(shape) == 1:
                values = np.ones(shape, np.float32)
            else:
                values = generator.standard_normal(shape, np.float32) * np.float32(0.02)
            bf16(values).tofile(file)


def write_config(path: pathlib.Path, a: argparse.Namespace) -> None:
    config = {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
        "attention_bias": False, "mlp_bias": False, "bos_token_id": 256, "eos_token_id": 257,
        "hidden_size": a.hidden, "intermediate_size": a.ffn, "num_hidden_layers": a.layers,
        "num_attention_heads": a.heads, "num_key_value_heads": a.kv_heads, "head_dim": a.head_dim,
        "vocab_size": a.vocab, "max_position_embeddings": 131072, "rms_norm_eps": 1e-5,
        "rope_theta": 500000.0, "rope_scaling": ROPE, "tie_word_embeddings": not a.untied,
        "torch_dtype": "bfloat16", "use_cache": True,
    }
    if a.experts:
        config |= {"architectures": ["MixtralForCausalLM"], "model_type": "mixtral",
                   "num_local_experts": a.experts, "num_experts_per_tok": a.top_k}
    path.write_text(json.dumps(config, indent=2) + "\n")


def byte_letters() -> list:
    """The printable letters that stand for the 256 bytes in GPT-2's byte-level vocabularies."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = iter(range(256, 512))
    return [chr(b) if b in plain else chr(next(rest)) for b in range(256)]


def write_tokenizer(path: pathlib.Path) -> None:
    special = [{"id": 256 + i, "content": text, "single_word": False, "lstrip": False,
                "rstrip": False, "normalized": False, "special": True}
               for i, text in enumerate(("<|begin_of_text|>", "<|end_of_text|>"))]
    bos = {"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    tokenizer = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                          "use_regex": True},
        "post_processor": {
            "type": "TemplateProcessing", "single": [bos, sequence],
            "pair": [bos, sequence, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|begin_of_text|>": {
                "id": "<|begin_of_text|>", "ids": [256], "tokens": ["<|begin_of_text|>"]}}},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False,
                  "vocab": {letter: i for i, letter in enumerate(byte_letters())}, "merges": []},
    }
    path.write_text(json.dumps(tokenizer, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path, help="folder to write; must not exist")
    for name, value in dict(seed=0, layers=16, hidden=2048, heads=32, kv_heads=8, head_dim=64,
                            ffn=8192, vocab=32768, experts=0, top_k=8).items():
        parser.add_argument("--" + name.replace("_", "-"), type=int, default=value,
                            help=f"default {value}")
    parser.add_argument("--untied", action="store_true", help="a head apart from the embedding")
    a = parser.parse_args()
    if a.vocab < 258:
        parser.error(f"--vocab: got {a.vocab}, expected at least 258 (256 bytes, BOS, EOS)")
    a.out.mkdir(parents=True)
    write_config(a.out / "config.json", a)
    write_tokenizer(a.out / "tokenizer.json")
    write_weights(a.out / "model.safetensors", tensor_shapes(a), a.seed)


if __name__ == "__main__":
    main()
