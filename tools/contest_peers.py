#!/usr/bin/env python3
"""Quantizes a model with AutoRound or GPTQModel and writes the weights that their codes stand for, as a folder of Karat's kind.

    python3 -m venv v && v/bin/pip install torch transformers auto-round==0.16.0      # or gptqmodel==7.7
    v/bin/python tools/contest_peers.py autoround MODEL OUT --bits 4 --group 128 --calib FILE.jsonl

tools/contest.py calls it. OUT/contest.json says what the quantized layers would take in a file: codes, one F16 scale
and one zero of the codes' width a group; embedding, head and norms in 16 bits.
"""
import argparse
import json
import pathlib
import tempfile

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

SEED = 42


def sequences(tokenizer, path, count, length):
    """`count` tensors [1, length] of the first documents that are long enough, as AutoRound and GPTQModel cut them."""
    found = []
    for line in path.read_text().splitlines():
        ids = tokenizer(json.loads(line)["text"], return_tensors="pt").input_ids[:, :length]
        if ids.shape[1] == length:
            found.append(ids)
        if len(found) == count:
            return found
    raise SystemExit(f"calib: got {len(found)} documents of {length} tokens, expected {count}; shorten --length")


def autoround(args, tokenizer, scratch):
    from auto_round import AutoRound

    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32)
    data = sequences(tokenizer, args.calib, args.samples, args.length)
    rounding = AutoRound(model, tokenizer, bits=args.bits, group_size=args.group, sym=args.bits == 4,
                         iters=args.iterations, nsamples=args.samples, seqlen=args.length, batch_size=args.batch,
                         dataset=torch.utils.data.DataLoader(data, batch_size=None), seed=SEED, device_map="cpu")
    rounding.quantize_and_save(str(scratch), format="fake")
    folder = next(path.parent for path in sorted(scratch.rglob("config.json")))
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).state_dict()


def gptqmodel(args, tokenizer, scratch):
    from gptqmodel import BACKEND, GPTQModel, QuantizeConfig

    model = GPTQModel.load(str(args.model), QuantizeConfig(bits=args.bits, group_size=args.group))
    data = sequences(tokenizer, args.calib, args.samples, args.length)
    model.quantize([{"input_ids": ids[0], "attention_mask": torch.ones_like(ids[0])} for ids in data], batch_size=1)
    model.save(str(scratch))
    packed = GPTQModel.load(str(scratch), backend=BACKEND.TORCH, device="cpu")
    weights = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).state_dict()
    for name, module in packed.model.named_modules():
        if hasattr(module, "dequantize_weight"):
            weights[name + ".weight"] = module.dequantize_weight().T.float().contiguous()
    return weights


def file_bytes(weights, bits, group):
    """What codes, scales and zeros take: see above. Layers are the matrices of blocks."""
    total = 0
    for name, weight in weights.items():
        layer = weight.dim() == 2 and ".layers." in name
        groups = weight.shape[0] * -(-weight.shape[1] // group) if layer else 0
        total += weight.numel() * bits / 8 + groups * (2 + bits / 8) if layer else weight.numel() * 2
    return int(total)


def write(args, tokenizer, weights):
    from safetensors.torch import save_file

    tied = "lm_head.weight" in weights and torch.equal(weights["lm_head.weight"], weights["model.embed_tokens.weight"])
    kept = {name: tensor.contiguous() for name, tensor in weights.items() if not (tied and name == "lm_head.weight")}
    args.out.mkdir(parents=True, exist_ok=True)
    save_file(kept, str(args.out / "model.safetensors"), metadata={"format": "pt"})
    (args.out / "config.json").write_text((args.model / "config.json").read_text())
    tokenizer.save_pretrained(args.out)
    (args.out / "contest.json").write_text(json.dumps({"bytes": file_bytes(kept, args.bits, args.group)}))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("peer", choices=["autoround", "gptqmodel"])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--bits", type=int, required=True)
    parser.add_argument("--group", type=int, required=True)
    parser.add_argument("--calib", type=pathlib.Path, required=True, help="JSON lines with a key text")
    parser.add_argument("--samples", type=int, default=128)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--iterations", type=int, default=200, help="of AutoRound")
    args = parser.parse_args()
    tokenizer = AutoTokenizer.from_pretrained(args.model)
    with tempfile.TemporaryDirectory() as scratch:
        weights = {"autoround": autoround, "gptqmodel": gptqmodel}[args.peer](args, tokenizer, pathlib.Path(scratch))
    write(args, tokenizer, weights)


if __name__ == "__main__":
    main()
