#!/usr/bin/env python3
"""Dump what Hugging Face computes for a tiny random model of each family.

Every folder of tests/fixtures/families is one model, made from its spec.json: config_class and its
values, a seed, "old_style_in" (where config.json is written as transformers 4 did), "edit" (keys of
config.json that are replaced afterwards). It becomes a folder as Hugging Face writes it
(config.json, model.safetensors in F32) with expected.safetensors beside it: ids [batch, time],
logits [batch, time, vocab], the loss (mean next-token cross-entropy) and `grad.<tensor>` for every
stored tensor that text reaches. The C++ graph must match.

    python tools/dump_families.py [NAME ...] [--out tests/fixtures/families]

Needs torch, transformers and safetensors; run it again only when a family is added.
"""

import argparse
import json
import pathlib

import torch
import transformers
from safetensors.torch import load_file, save_file


def randomise(model: torch.nn.Module, seed: int) -> None:
    """Weights far enough from zero and one that every path matters, norms and biases included."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator)
            if tensor.dim() >= 2:
                tensor.copy_(noise * (0.6 if "emb" in name or "wte" in name else 0.25))
            elif name.endswith("bias"):
                tensor.copy_(noise * 0.1)
            else:
                tensor.copy_(1 + noise * 0.2)


def old_config(config: dict) -> dict:
    """config.json as transformers 4 wrote it: rope_theta and rope_scaling at the top level,
    torch_dtype for dtype, and the text of a model of images and text not in an object of its own."""
    text = config.pop("text_config", None)
    if text is not None:
        config = {k: v for k, v in text.items() if k != "model_type"} | config
    rope = config.pop("rope_parameters", None) or {}
    config["rope_theta"] = rope.get("rope_theta", 10000.0)
    config["rope_scaling"] = {k: v for k, v in rope.items() if k != "rope_theta"} or None
    if config["rope_scaling"] == {"rope_type": "default"}:
        config["rope_scaling"] = None
    if "mrope_section" in (config["rope_scaling"] or {}):
        config["rope_scaling"] = config["rope_scaling"] | {"type": "mrope", "rope_type": "mrope"}
    config["torch_dtype"] = config.pop("dtype", "float32")
    config["transformers_version"] = "4.40.0"
    config.pop("layer_types", None)
    return config


def kind_of(spec: dict):
    kinds = transformers.AutoModelForCausalLM, transformers.AutoModelForImageTextToText
    return kinds["text_config" in spec["values"]]


def make_model(spec: dict) -> torch.nn.Module:
    tokens = {} if "text_config" in spec["values"] else dict(bos_token_id=1, eos_token_id=2)
    config = getattr(transformers, spec["config_class"])(**tokens, **spec["values"])
    return kind_of(spec).from_config(config, attn_implementation="eager").float().eval()


def write_configs(spec: dict, folder: pathlib.Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text()) | spec.get("edit", {})
    path.write_text(json.dumps(config, indent=2) + "\n")
    if "old_style_in" in spec:
        old = folder / spec["old_style_in"] / "config.json"
        old.parent.mkdir(exist_ok=True)
        old.write_text(json.dumps(old_config(config), indent=2) + "\n")


def gradients(model: torch.nn.Module, stored: dict) -> dict:
    """The gradient of every stored tensor that has one; names in the file may differ from the
    model's, the random values do not."""
    known = {}
    for p in model.parameters():
        parts = [(p.detach(), p.grad)]
        if p.dim() == 3 and p.grad is not None:  # of all experts: of each, and of its halves
            each = list(zip(p.detach(), p.grad))
            parts += each + [half for w, g in each for half in zip(w.chunk(2), g.chunk(2))]
        known |= {weight.numpy().tobytes(): grad for weight, grad in parts}
    found = {name: known[tensor.numpy().tobytes()] for name, tensor in stored.items()}
    return {"grad." + name: grad for name, grad in found.items() if grad is not None}


def dump(folder: pathlib.Path) -> None:
    spec = json.loads((folder / "spec.json").read_text())
    model = make_model(spec)
    randomise(model, spec["seed"])
    model.save_pretrained(folder, safe_serialization=True)
    (folder / "generation_config.json").unlink(missing_ok=True)
    write_configs(spec, folder)

    vocab = model.config.get_text_config().vocab_size
    text = vocab - 4 if "text_config" in spec["values"] else vocab  # the last stand for images
    generator = torch.Generator().manual_seed(spec["seed"])
    ids = torch.randint(0, text, (2, 21), generator=generator)
    logits = model(ids).logits
    again = kind_of(spec).from_pretrained(folder, attn_implementation="eager")
    assert torch.equal(logits, again(ids).logits), "the folder is not the model"
    loss = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    loss.backward()
    stored = load_file(folder / "model.safetensors")
    expected = {"ids": ids, "logits": logits.detach(), "loss": loss.detach()}
    expected |= gradients(model, stored)
    save_file({k: v.contiguous() for k, v in expected.items()}, folder / "expected.safetensors")
    for path in folder.glob("*.safetensors"):
        path.chmod(0o644)
    print(f"{folder.name}: loss {loss.item():.4f}, {len(stored)} tensors")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = pathlib.Path(__file__).parent.parent / "tests" / "fixtures" / "families"
    parser.add_argument("names", nargs="*", help="the folders to make (default: all)")
    parser.add_argument("--out", type=pathlib.Path, default=default, help="where the folders lie")
    options = parser.parse_args()
    for spec in sorted(options.out.glob("*/spec.json")):
        if not options.names or spec.parent.name in options.names:
            dump(spec.parent)


if __name__ == "__main__":
    main()
