#!/usr/bin/env python3
"""Optimizers of few bits, and accumulators of few bits, beside their full-precision twins: one Llama, one text.

    python3 tools/optimizer_contest.py --work FOLDER [--steps 240] [--width 128] [--layers 2] [--batch 4] [--lr 4e-3]
        [--only solo "eco, quest W4A4" ...] [--seed 1] [--threads N]

Trains on the books of the shared corpus as tools/qat_contest.py does. Each row is compared with its twin, which differs
in the one thing that the row is about: losses are means over the same validation sequences, so the standard error of
their difference is paired. Bytes are those that a step hands on to the next, as checkpoints hold them. A run that is
there is not made again. Prints Markdown.
"""
import argparse
import pathlib
import statistics

from karat_cli import ROOT, Karat, markdown
from qat_contest import error_of, prepare, train

QUEST = "quest:weights={},activations=4"
A2Q = "a2qplus:weights=4,activations=4"
# name -> (twin, quantizer, options of karat train)
ROWS = {
    "adamw": (None, "", []),
    "solo": ("adamw", "", ["--optimizer", "solo"]),
    "solo, nearest": ("adamw", "", ["--optimizer", "solo:rounding=nearest"]),
    "adamw, betas of solo": ("adamw", "", ["--beta1", 0.8, "--beta2", 0.999]),
    "quest W4A4": (None, QUEST.format(4), []),
    "eco, quest W4A4": ("quest W4A4", QUEST.format(4), ["--optimizer", "eco"]),
    "eco drawn, quest W4A4": ("quest W4A4", QUEST.format(4), ["--optimizer", "eco:rounding=stochastic"]),
    "nothing carried, quest W4A4": ("quest W4A4", QUEST.format(4), ["--optimizer", "eco:carry=0"]),
    "quest W8A4": (None, QUEST.format(8), []),
    "eco, quest W8A4": ("quest W8A4", QUEST.format(8), ["--optimizer", "eco"]),
    "nothing carried, quest W8A4": ("quest W8A4", QUEST.format(8), ["--optimizer", "eco:carry=0"]),
    "a2qplus W4A4, 32 bits": (None, A2Q, []),
    **{f"a2qplus W4A4, {bits} bits": ("a2qplus W4A4, 32 bits", f"{A2Q},accumulator={bits}", [])
       for bits in (14, 12, 11, 10)},
}


def row_of(name, log, twin):
    losses = log["validation_losses"]
    cells = [name, f"{statistics.mean(losses):.4f}"]
    if twin:
        apart = [a - b for a, b in zip(losses, twin["validation_losses"])]
        cells.append(f"{statistics.mean(apart):+.4f} ± {error_of(apart):.4f}")
    else:
        cells.append("")
    megabytes = [log["optimizer_bytes"] / 1e6, log["weight_bytes"] / 1e6]
    return [*cells, *(f"{size:.2f}" for size in (*megabytes, sum(megabytes))), f"{log['seconds'] / log['steps']:.3f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--karat", type=pathlib.Path, default=ROOT / "build/release/karat")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--batch", type=int, default=4, help="sequences of 256 tokens a step")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=128, help="hidden size, a multiple of 128")
    parser.add_argument("--lr", type=float, default=4e-3)
    parser.add_argument("--megabytes", type=int, default=4, help="of the books")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="+", choices=list(ROWS), default=list(ROWS), help="these rows and their twins")
    args = parser.parse_args()
    args.karat = Karat(args.karat, args.threads)
    prepare(args)
    folder = args.work / f"{args.width}x{args.layers}-batch{args.batch}-{args.steps}-{args.seed}"
    chosen = {name for row in args.only for name in (row, ROWS[row][0])}
    rows, logs = [["", "loss", "beside its twin", "state, MB", "weights, MB", "both, MB", "s/step"]], {}
    for name in (name for name in ROWS if name in chosen):
        twin, quantizer, more = ROWS[name]
        path = "".join(letter if letter.isalnum() else "-" for letter in name)
        logs[name] = train(args, path, quantizer, args.seed, args.steps, folder, 64, more)
        rows.append(row_of(name, logs[name], logs.get(twin)))
    print(markdown(rows))


if __name__ == "__main__":
    main()
