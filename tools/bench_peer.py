#!/usr/bin/env python3
"""Karat beside llama.cpp on the same machine, shape and threads, in turns; prints Markdown.

    python3 tools/bench_peer.py MODEL --karat build/release/karat --bench LLAMA_BENCH --gguf FILE [FILE...]
                                [--threads N] [--rounds 3] [--contexts 128,4096] [--isa SET] [--without-depth]

MODEL is a Karat folder, FILE a GGUF of the same shape, LLAMA_BENCH the llama-bench of a llama.cpp that was built on this
machine (-DGGML_NATIVE=ON). Each round runs one after the other, so that both meet the same neighbours, and the fastest of
all rounds counts: other processes only ever add time. Both decode after the first of the contexts (llama-bench -d); one
of before May 2025 has no -d: with --without-depth it decodes from an empty cache, which favours it.
"""
import argparse
import json
import pathlib
import subprocess

from karat_cli import ROOT, markdown

PROMPT, DECODE = 512, 32


def output(command):
    return json.loads(subprocess.run(list(map(str, command)), capture_output=True, text=True, check=True).stdout)


def ours(args):
    found = output([args.karat, "bench", args.model, "--json", "--threads", args.threads, "--prompt", PROMPT, "--decode",
                    DECODE, "--repeats", 2, "--context", args.contexts, *(["--isa", args.isa] if args.isa else [])])
    rates = {f"decode at {row['context']}": row["tokens_per_second"] for row in found["decode"]}
    return {"prefill": found["prefill"]["tokens_per_second"], **rates}


def theirs(args, gguf):
    context = int(args.contexts.split(",")[0])
    rows = []
    depth = [] if args.without_depth else ["-d", context]
    for work in (["-p", PROMPT, "-n", 0], ["-p", 0, "-n", DECODE, *depth]):
        rows += output([args.bench, "-m", gguf, "-t", args.threads, "-r", 2, "-o", "json", *work])
    prefill, decode = (max(row["samples_ts"]) for row in rows)
    return {"prefill": prefill, f"decode at {context}": decode}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--karat", type=pathlib.Path, default=ROOT / "build" / "release" / "karat")
    parser.add_argument("--bench", type=pathlib.Path, required=True)
    parser.add_argument("--gguf", type=pathlib.Path, nargs="+", required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--contexts", default="128")
    parser.add_argument("--isa", help="Karat's kernels, where llama.cpp was built for other ones than the CPU's best")
    parser.add_argument("--without-depth", action="store_true")
    args = parser.parse_args()
    best = {"karat": {}, **{file.name: {} for file in args.gguf}}
    for _ in range(args.rounds):
        measured = {"karat": ours(args), **{file.name: theirs(args, file) for file in args.gguf}}
        for name, rates in measured.items():
            best[name] = {key: max(rate, best[name].get(key, 0)) for key, rate in rates.items()}
    rows = [["what", "karat, tokens/s", *(f"{file.name}, tokens/s; karat ÷ it" for file in args.gguf)]]
    for key, rate in best["karat"].items():
        cells = [best[file.name].get(key) for file in args.gguf]
        rows.append([key, f"{rate:.2f}", *("–" if cell is None else f"{cell:.2f}; {rate / cell:.2f}" for cell in cells)])
    print(markdown(rows))


if __name__ == "__main__":
    main()
