#!/usr/bin/env python3
"""Write a Hugging Face folder of Llama's kind as a GGUF file, for tests; Python's standard library is enough.

    python3 tools/to_gguf.py models/karat-tiny tiny.gguf
    python3 tools/to_gguf.py models/karat-tiny tiny.gguf --q8 ffn_down --split 2

Matrices keep their type, or become Q8_0 where --q8 names them; vectors become F32; rows of q and k are put in
pairs, as llama.cpp wants them. The tokenizer is byte-level BPE with the words of --pre.
"""
import argparse
import json
import pathlib
import struct

BLOCK = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
         "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
         "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
ENDS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output"}
TYPES = {"F32": (0, 4), "F16": (1, 2), "BF16": (30, 2), "Q8_0": (8, None)}
ALIGNMENT = 32


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def typed(value) -> bytes:
    """A value of metadata behind its type."""
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + text(value)
    items = b"".join(text(item) if isinstance(item, str) else struct.pack("<i", item) for item in value)
    return struct.pack("<IIQ", 9, 8 if isinstance(value[0], str) else 5, len(value)) + items


def read_safetensors(path: pathlib.Path) -> dict:
    """name -> (type, shape, bytes)"""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], data[8 + size + entry["data_offsets"][0]:
                                                        8 + size + entry["data_offsets"][1]])
            for name, entry in header.items()}


def floats(kind: str, data: bytes) -> list:
    if kind == "BF16":
        data = b"".join(b"\0\0" + data[i:i + 2] for i in range(0, len(data), 2))
    return list(struct.unpack(f"<{len(data) // (2 if kind == 'F16' else 4)}{'e' if kind == 'F16' else 'f'}", data))


def q8_0(values: list) -> bytes:
    blocks = []
    for at in range(0, len(values), 32):
        block = values[at:at + 32]
        scale = max(map(abs, block)) / 127
        codes = [round(value / scale) if scale else 0 for value in block]
        blocks.append(struct.pack("<e32b", scale, *codes))
    return b"".join(blocks)


def in_pairs(data: bytes, rows: int, heads: int) -> bytes:
    """Rows 0, 1 … of each head as 0, half, 1, half + 1 …"""
    row, head = len(data) // rows, rows // heads
    order = [h * head + half * (head // 2) + j for h in range(heads) for j in range(head // 2) for half in range(2)]
    return b"".join(data[i * row:(i + 1) * row] for i in order)


def convert(name: str, tensor: tuple, config: dict, q8: list) -> tuple:
    """(GGUF name, type, shape, bytes)"""
    kind, shape, data = tensor
    stem, ending = name.rsplit(".", 1)
    part = ENDS.get(stem)
    if part is None:
        number, _, inner = stem.removeprefix("model.layers.").partition(".")
        part = f"blk.{number}.{BLOCK[inner]}"
    if part.endswith("attn_q"):
        data = in_pairs(data, shape[0], config["num_attention_heads"])
    if part.endswith("attn_k"):
        data = in_pairs(data, shape[0], config["num_key_value_heads"])
    if len(shape) == 1:
        kind, data = "F32", struct.pack(f"<{shape[0]}f", *floats(kind, data))
    elif any(part.endswith(ending) for ending in q8):
        kind, data = "Q8_0", q8_0(floats(kind, data))
    return f"{part}.{ending}", kind, shape, data


def metadata(config: dict, folder: pathlib.Path, pre: str) -> dict:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokens = dict(sorted((id, token) for token, id in tokenizer["model"]["vocab"].items()))
    special = {token["id"]: token["content"] for token in tokenizer["added_tokens"]}
    tokens |= special
    rope = config.get("rope_parameters") or config
    return {"general.architecture": "llama", "llama.block_count": config["num_hidden_layers"],
            "llama.context_length": config["max_position_embeddings"],
            "llama.embedding_length": config["hidden_size"],
            "llama.feed_forward_length": config["intermediate_size"],
            "llama.attention.head_count": config["num_attention_heads"],
            "llama.attention.head_count_kv": config["num_key_value_heads"],
            "llama.attention.key_length": config["head_dim"], "llama.attention.value_length": config["head_dim"],
            "llama.attention.layer_norm_rms_epsilon": config["rms_norm_eps"],
            "llama.rope.freq_base": float(rope["rope_theta"]), "tokenizer.ggml.model": "gpt2",
            "tokenizer.ggml.pre": pre, "tokenizer.ggml.tokens": [tokens[id] for id in sorted(tokens)],
            "tokenizer.ggml.token_type": [3 if id in special else 1 for id in sorted(tokens)],
            "tokenizer.ggml.merges": [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]],
            "tokenizer.ggml.bos_token_id": config["bos_token_id"],
            "tokenizer.ggml.eos_token_id": config["eos_token_id"], "tokenizer.ggml.add_bos_token": True}


def write(path: pathlib.Path, values: dict, tensors: list) -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(values))
    for key, value in values.items():
        head += text(key) + typed(value)
    data = b""
    for name, kind, shape, content in tensors:
        head += text(name) + struct.pack("<I", len(shape)) + b"".join(struct.pack("<q", n) for n in reversed(shape))
        head += struct.pack("<IQ", TYPES[kind][0], len(data))
        data += content + bytes(-len(content) % ALIGNMENT)
    path.write_bytes(head + bytes(-len(head) % ALIGNMENT) + data)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--q8", nargs="*", default=[], metavar="NAME", help="matrices that become Q8_0: ffn_down …")
    parser.add_argument("--split", type=int, default=1, help="parts, FILE's name with -00001-of-0000N in it")
    parser.add_argument("--pre", default="smaug-bpe", help="tokenizer.ggml.pre")
    options = parser.parse_args()
    config = json.loads((options.folder / "config.json").read_text())
    values = metadata(config, options.folder, options.pre)
    tensors = [convert(name, tensor, config, options.q8)
               for name, tensor in read_safetensors(options.folder / "model.safetensors").items()]
    if options.split == 1:
        return write(options.file, values, tensors)
    share = -(-len(tensors) // options.split)
    for part in range(options.split):
        split = {"split.no": part, "split.count": options.split, "split.tensors.count": len(tensors)}
        name = f"{options.file.stem}-{part + 1:05}-of-{options.split:05}.gguf"
        write(options.file.with_name(name), (values if part == 0 else {}) | split,
              tensors[part * share:(part + 1) * share])


if __name__ == "__main__":
    main()
