#!/usr/bin/env python3
"""Decoding speed of several folders in turns on a machine whose memory is not always equally fast; prints Markdown.

    python3 tools/bench_turns.py MODEL [MODEL...] [--karat build/release/karat] [--isa SET] [--turns 24] [--split 56]

Each turn runs `karat bench` on every folder, forwards or backwards. What bench read from memory before and after decoding
sorts the runs: below --split GB/s memory is slow, above it fast, and a folder is compared with the first one where both
met the same. Medians, and quartiles in brackets.
"""
import argparse
import json
import pathlib
import statistics
import subprocess

from karat_cli import ROOT, markdown


def bench(args, model):
    command = [args.karat, "bench", model, "--json", "--prompt", 0, "--context", 128, "--decode", 40, "--repeats", 1,
               *(["--isa", args.isa] if args.isa else [])]
    found = json.loads(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout)
    decode = found["decode"][0]
    fast = found["read_gigabytes_per_second"] > args.split
    return fast, decode["tokens_per_second"], decode["share_of_bandwidth"]


def summary(values, digits=2):
    if len(values) < 2:
        return "-"
    low, middle, high = (f"{value:.{digits}f}" for value in statistics.quantiles(values, n=4))
    return f"{middle} ({low}, {high}), {len(values)}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", type=pathlib.Path, nargs="+")
    parser.add_argument("--karat", type=pathlib.Path, default=ROOT / "build" / "release" / "karat")
    parser.add_argument("--isa", help="the set of kernels")
    parser.add_argument("--turns", type=int, default=24)
    parser.add_argument("--split", type=float, default=56, help="GB/s between slow memory and fast")
    args = parser.parse_args()
    turns = []
    for turn in range(args.turns):
        order = args.models[::-1] if turn % 2 else args.models
        turns.append({model: bench(args, model) for model in order})
    rows = [["memory", "folder", "tokens/s", "share of bandwidth", f"tokens/s ÷ those of {args.models[0].name}"]]
    for fast in (False, True):
        for model in args.models:
            met = [turn for turn in turns if turn[model][0] == fast]
            both = [turn for turn in met if turn[args.models[0]][0] == fast]
            rows.append(["fast" if fast else "slow", model.name, summary([turn[model][1] for turn in met], 1),
                         summary([turn[model][2] for turn in met]),
                         summary([turn[model][1] / turn[args.models[0]][1] for turn in both])])
    print(markdown(rows))


if __name__ == "__main__":
    main()
