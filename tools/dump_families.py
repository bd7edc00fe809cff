#!/usr/bin/env python3
"""Dump what Hugging Face computes for a tiny random model of each family.

Every family becomes a folder as Hugging Face writes it (config.json, model.safetensors in F32) with
expected.safetensors beside it: ids [batch, time], logits [batch, time, vocab], the loss (mean
next-token cross-entropy) and `grad.<tensor>` for every stored tensor. The C++ graph must match.

    python tools/dump_families.py [--out tests/fixtures/families]

Needs torch, transformers and safetensors; run it again only when a family is added.
"""

import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file

SIZES = dict(
    vocab_size=61, hidden_size=24, intermediate_size=40, num_hidden_layers=2,
    num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64, head_dim=6,
)
LLAMA3_ROPE = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32, "rope_theta": 500.0,
}
FAMILIES = {
    # A small rope_theta puts frequencies in all three bands of the llama3 rule.
    "llama3": ("LlamaConfig", SIZES | dict(rope_parameters=LLAMA3_ROPE, tie_word_embeddings=False)),
    "llama-tied": ("LlamaConfig", SIZES | dict(tie_word_embeddings=True)),
    "mistral": ("MistralConfig", SIZES | dict(sliding_window=7, tie_word_embeddings=False)),
    "qwen2": ("Qwen2Config", {k: v for k, v in SIZES.items() if k != "head_dim"}
              | dict(tie_word_embeddings=True)),
    # head_dim that is not hidden_size / heads, as in the released Qwen3 models.
    "qwen3": ("Qwen3Config", SIZES | dict(head_dim=8, tie_word_embeddings=True)),
    "gpt2": ("GPT2Config", dict(vocab_size=61, n_embd=24, n_layer=2, n_head=4, n_positions=64,
                                resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0)),
}
# transformers 4 wrote rope_theta and rope_scaling at the top level and torch_dtype for dtype; these
# folders get a config.json as it did, so that both generations are covered. llama3 keeps the new
# one and gets the old one in a folder inside.
OLD_STYLE = {"llama-tied", "qwen2"}


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights far enough from zero and one that every path matters, norms and biases included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.dim() == 2:
                tensor.copy_(noise * (0.6 if "emb" in name or "wte" in name else 0.25))
            elif name.endswith("bias"):
                tensor.copy_(noise * 0.1)
            else:
                tensor.copy_(1 + noise * 0.2)


def old_config(config: dict) -> dict:
    rope = config.pop("rope_parameters", None) or {}
    config["rope_theta"] = rope.get("rope_theta", 10000.0)
    config["rope_scaling"] = {k: v for k, v in rope.items() if k != "rope_theta"} or None
    if config["rope_scaling"] == {"rope_type": "default"}:
        config["rope_scaling"] = None
    config["torch_dtype"] = config.pop("dtype", "float32")
    config["transformers_version"] = "4.40.0"
    config.pop("layer_types", None)
    return config


def dump(name: str, folder: pathlib.Path, seed: int) -> None:
    config_class, values = FAMILIES[name]
    config = getattr(transformers, config_class)(
        bos_token_id=1, eos_token_id=2, attn_implementation="eager", **values)
    model = transformers.AutoModelForCausalLM.from_config(config).float().eval()
    randomise(model, seed)
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "generation_config.json").unlink(missing_ok=True)
    path = folder / "config.json"
    old = json.dumps(old_config(json.loads(path.read_text())), indent=2) + "\n"
    if name in OLD_STYLE:
        path.write_text(old)
    if name == "llama3":
        (folder / "old").mkdir(exist_ok=True)
        (folder / "old" / "config.json").write_text(old)

    ids = torch.randint(0, config.vocab_size, (2, 21), generator=torch.Generator().manual_seed(seed))
    logits = model(ids).logits
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    gradients = dict(model.named_parameters())
    stored = load_file(folder / "model.safetensors")
    expected = {"ids": ids, "logits": logits.detach(), "loss": loss.detach()}
    for tensor in stored:
        expected["grad." + tensor] = gradients[tensor].grad
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    print(f"{name}: loss {loss.item():.4f}, {len(stored)} tensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "families"
    parser.add_argument("--out", type=pathlib.Path, default=default, help="where the folders go")
    out = parser.parse_args().out
    for seed, name in enumerate(FAMILIES):
        dump(name, out / name, seed)


if __name__ == "__main__":
    main()
