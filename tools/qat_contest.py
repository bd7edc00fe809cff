#!/usr/bin/env python3
"""Quantizers of training beside each other: one small Llama, one text, the same steps for all.

    python3 tools/qat_contest.py --work FOLDER [--steps 2000] [--methods quest lsq pact ste quarot] [--bits 4 3 2 1]
        [--seeds 1] [--layers 2] [--width 128] [--batch 16] [--threads N] [--plan-hours 6]

Trains the shape without quantizer, with each method at each width (weights and activations alike) and QuEST without
Hadamard, on the books of the shared corpus (KARAT_SHARED/corpus, see its README), and scores held-out documents. A
run's result is FOLDER/SHAPE-STEPS/NAME; one that was interrupted goes on from its checkpoint, one that is there is not made
again. Prints Markdown and writes rows.json there. Errors are standard errors over validation sequences; those of a
difference to QuEST are paired, since all see the same sequences. With --plan-hours nothing is trained to the end: ten
steps of each are timed, and the steps that fit into that many hours are printed.
"""
import argparse
import json
import lzma
import math
import os
import pathlib
import statistics
import sys

from karat_cli import ROOT, Karat, markdown

CORPUS = pathlib.Path(os.environ.get("KARAT_SHARED", ROOT.parent / "shared")) / "corpus"
METHODS = {"quest": "quest", "lsq": "lsq", "pact": "pact", "ste": "ste", "quarot": "quarot",
           "quest-plain": "quest:hadamard=0"}
TITLES = {"quest": "QuEST", "lsq": "LSQ", "pact": "PACT", "ste": "STE (absmax)", "quarot": "QuaRot",
          "quest-plain": "QuEST without Hadamard"}


def quantizer(method, bits):
    text = METHODS[method]
    return f"{text}{',' if ':' in text else ':'}weights={bits},activations={bits}"


def prepare(args):
    """Config and texts, written once."""
    args.work.mkdir(parents=True, exist_ok=True)
    config = json.loads((ROOT / "models/karat-tiny/config.json").read_text())
    config |= {"hidden_size": args.width, "intermediate_size": 3 * args.width, "num_hidden_layers": args.layers,
               "num_attention_heads": args.width // 32, "num_key_value_heads": args.width // 32}
    args.config = args.work / f"config-{args.width}x{args.layers}.json"
    args.config.write_text(json.dumps(config))
    args.books, args.valid = args.work / f"books-{args.megabytes}.txt", args.work / "valid.txt"
    for file, source, size in ((args.books, "books.train.txt.xz", args.megabytes * 10**6),
                               (args.valid, "valid.txt.xz", -1)):
        if not file.exists():
            text = lzma.open(CORPUS / source).read(size).decode(errors="ignore")
            part = file.with_suffix(".part")
            part.write_text(text)
            part.rename(file)


def share_tokens(args, work):
    """Lets a run find the tokens that another one made: each work folder has links to the same files."""
    shared = args.work / "tokens"
    shared.mkdir(exist_ok=True)
    work.mkdir(parents=True, exist_ok=True)
    for source, target in ((work, shared), (shared, work)):
        for file in source.glob("tokens-*"):
            if not (target / file.name).exists():
                os.link(file, target / file.name)


def train(args, name, text, seed, steps, folder, sequences=256, more=()):
    """The training log of one run, made unless it is there. Validated every quarter of it."""
    out, work = folder / name, args.work / "checkpoints" / folder.name / name
    folder.mkdir(exist_ok=True)
    if not (out / "training_log.json").exists():
        share_tokens(args, work)
        resume = ["--resume"] if (work / "checkpoint.safetensors").exists() else []
        args.karat.json("train", args.config, "--tokenizer", ROOT / "models/karat-tiny",
                        "--data", args.books, "--validation", args.valid, "--out", out,
                        "--work", work, "--steps", steps, "--batch", args.batch, "--micro-batch", max(1, args.batch // 2), "--sequence", 256,
                        "--lr", args.lr, "--warmup", steps // 10, "--seed", seed, "--log-every", max(1, steps // 40),
                        "--validate-every", max(1, steps // 4), "--checkpoint-every", 100,
                        "--validation-sequences", sequences, "--dtype", "f32", *(["--quantize", text] if text else []),
                        *more, *resume)
        share_tokens(args, work)
    return json.loads((out / "training_log.json").read_text())


def runs(args):
    """(name, method, bits, seed, quantizer) of all runs; the widths that tell methods apart most come first."""
    for seed in args.seeds:
        yield f"full-{seed}", "full", 16, seed, ""
        for bits in args.bits:
            for method in args.methods:
                yield f"{method}-{bits}-{seed}", method, bits, seed, quantizer(method, bits)


def plan(args):
    """Seconds per step of each, and the steps of all that fill the hours. On a busy machine CPU seconds say more."""
    seconds, cpu = {}, {}
    for name, method, bits, seed, text in runs(args):
        log = train(args, name, text, seed, 10, args.work / f"{args.shape}-timing", sequences=2)
        seconds[name] = log["seconds"] / log["steps"]
        cpu[name] = log["cpu_seconds"] / log["steps"]
        print(f"{name}: {seconds[name]:.3f} s, {cpu[name]:.3f} CPU s a step", file=sys.stderr)
    steps = args.plan_hours * 3600 / sum(seconds.values())
    print(f"{len(seconds)} runs, {sum(seconds.values()):.2f} s, {sum(cpu.values()):.2f} CPU s for a step of each: "
          f"{int(steps)} steps in {args.plan_hours} hours")


def error_of(losses):
    return statistics.stdev(losses) / math.sqrt(len(losses))


def row_of(entry, log):
    name, method, bits, seed, text = entry
    losses = log["validation_losses"]
    return {"name": name, "method": method, "bits": bits, "seed": seed, "quantizer": text, "steps": log["steps"],
            "parameters": log["parameters"], "tokens": log["tokens_trained"], "loss": statistics.mean(losses),
            "error": error_of(losses), "seconds_per_step": log["seconds"] / log["steps"],
            "cpu_seconds_per_step": log["cpu_seconds"] / log["steps"],
            "gradient_alignment": log["gradient_alignment"], "losses": losses}


def text_of(rows):
    """Loss of each method and width, and what it loses to QuEST with the paired standard error."""
    bits = sorted({row["bits"] for row in rows if row["method"] != "full"}, reverse=True)
    table = [["method", *(f"W{b}A{b}" for b in bits), "s/step"]]
    for seed in sorted({row["seed"] for row in rows}):
        found = {(row["method"], row["bits"]): row for row in rows if row["seed"] == seed}
        for method in [m for m in TITLES if any(key[0] == m for key in found)]:
            cells = []
            for width in bits:
                row, best = found.get((method, width)), found.get(("quest", width))
                cell = f"{row['loss']:.4f}" if row else ""
                if row and best and row is not best:
                    apart = [a - b for a, b in zip(row["losses"], best["losses"])]
                    cell += f" ({statistics.mean(apart):+.4f} ± {error_of(apart):.4f})"
                cells.append(cell)
            times = [row["seconds_per_step"] for key, row in found.items() if key[0] == method]
            table.append([f"{TITLES[method]}, seed {seed}", *cells, f"{statistics.mean(times):.3f}"])
        full = found.get(("full", 16))
        if full:
            table.append([f"none, seed {seed}", f"{full['loss']:.4f} ± {full['error']:.4f}", *[""] * (len(bits) - 1),
                          f"{full['seconds_per_step']:.3f}"])
    return markdown(table)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--karat", type=pathlib.Path, default=ROOT / "build/release/karat")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--bits", nargs="+", type=int, default=[4, 3, 2, 1])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--batch", type=int, default=16, help="sequences of 256 tokens a step")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128, help="hidden size, a multiple of 128")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--megabytes", type=int, default=48, help="of the books")
    parser.add_argument("--plan-hours", type=float)
    args = parser.parse_args()
    args.karat = Karat(args.karat, args.threads)
    args.shape = f"{args.width}x{args.layers}-batch{args.batch}"
    prepare(args)
    if args.plan_hours:
        return plan(args)
    rows, folder = [], args.work / f"{args.shape}-{args.steps}"
    for entry in runs(args):
        rows.append(row_of(entry, train(args, entry[0], entry[4], entry[3], args.steps, folder)))
        (folder / "rows.json").write_text(json.dumps(rows))
        print(f"{entry[0]}: {rows[-1]['loss']:.4f} ± {rows[-1]['error']:.4f}", file=sys.stderr)
    print(text_of(rows))


if __name__ == "__main__":
    main()
