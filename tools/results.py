#!/usr/bin/env python3
"""Measures methods and selectors on one model over several calibration seeds; prints Markdown.

    python3 tools/results.py MODEL --calib FILE --text FILE [--convention hf] [--limit N]
                             [--seeds 3] [--samples 16] [--length 512] [--bits 3] [--group 32]

First table: rtn, gptq, gwq and gwq-obs on the same grid, and the outlier-free methods on finer grids that
cost about as many bits as gwq's outliers. Second table: who should be kept? One share of 1 %, plain rounding.
docs/results.md holds what it printed.
"""
import argparse
import os
import pathlib
import platform
import re
import statistics
import tempfile

from karat_cli import ROOT, Karat, markdown

METHODS = ["rtn", "gptq", "gwq", "gwq-obs"]
# label -> arguments of `karat quantize` that choose who is kept; {seed} stands for the run's seed
SELECTORS = {
    "none": ["--method", "rtn"],
    "random": ["--method", "gwq", "--metric", "random:seed={seed}"],
    "\\|w\\|": ["--method", "gwq", "--metric", "magnitude"],
    "Hessian (w−ŵ)²/[H⁻¹]ⱼⱼ": ["--method", "gwq", "--metric", "hessian"],
    "Fisher Σg²": ["--method", "gwq", "--metric", "fisher"],
    "\\|g\\| (GWQ)": ["--method", "gwq", "--metric", "gradient"],
    "\\|g·w\\|": ["--method", "gwq", "--metric", "gradient:key=gw"],
    "\\|g·Δ\\|": ["--method", "gwq", "--metric", "gradient:key=gd"],
}

class Bench:
    def __init__(self, args, scratch):
        self.args = args
        self.karat = Karat(args.karat, args.threads)
        self.out = pathlib.Path(scratch) / "quantized"

    def evaluate(self, model, *against):
        args = self.args
        limit = ["--limit", args.limit] if args.limit else []
        return self.karat.json("evaluate", model, "--text", args.text, "--convention", args.convention, *limit,
                               *against)

    def quantize(self, arguments, seed, **values):
        """The report of one quantization, {seed} and {values} filled in; what a row does not say of its text, the call does."""
        args = self.args
        data = {"--calib": args.calib, "--samples": args.samples, "--length": args.length, "--seed": seed}
        flags = [str(a).format(seed=seed, **values) for a in arguments]
        for name, value in data.items() if reads_text(flags) else ():
            if name not in flags:
                flags += [name, str(value)]
        return self.karat.json("quantize", args.model, *flags, "--out", self.out, "--force")

    def one(self, arguments, seed, **values):
        """(bits per weight, perplexity, mean KL) of one quantization."""
        report = self.quantize(arguments, seed, **values)
        quality = self.evaluate(self.out, "--against", self.args.model)
        return report["bits_per_weight"], quality["perplexity"], quality["kl"]["mean"]

    def row(self, label, arguments, **values):
        seeded = reads_text(arguments) or any("{seed}" in str(a) for a in arguments)
        bits, ppl, kl = zip(*(self.one(arguments, seed, **values)
                              for seed in range(1, self.args.seeds + 1 if seeded else 2)))
        return [label, f"{bits[0]:.3f}", spread(ppl, 3), spread(kl, 4)]


def reads_text(flags):
    """Whether a recipe reads the calibration text: plain rounding does not, unless its metric does."""
    method = flags[flags.index("--method") + 1]
    metric = flags[flags.index("--metric") + 1] if "--metric" in flags else ""
    return not metric.startswith(("random", "magnitude")) and (method != "rtn" or bool(metric))


def spread(values, digits):
    """Mean over the seeds ± their standard deviation."""
    text = f"{statistics.mean(values):.{digits}f}"
    return text if len(values) == 1 else f"{text} ± {statistics.stdev(values):.{digits}f}"


def machine():
    model = re.search(r"model name\s*: (.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{model.group(1) if model else platform.machine()}, {len(os.sched_getaffinity(0))} cores"


def add_arguments(parser):
    """Of the model, its texts and how they are cut."""
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--karat", default=ROOT / "build" / "release" / "karat")
    parser.add_argument("--calib", required=True)
    parser.add_argument("--text", required=True)
    parser.add_argument("--convention", default="hf")
    parser.add_argument("--limit", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=16)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--group", type=int, default=32)
    parser.add_argument("--threads", type=int, help="of karat (default: all)")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_arguments(parser)
    parser.add_argument("--bits", type=int, nargs="+", default=[3, 4])
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="karat-results-") as scratch:
        bench = Bench(args, scratch)
        original = bench.evaluate(args.model)
        print(f"Original: perplexity {original['perplexity']:.4f} ± {original['standard_error']:.4f} over "
              f"{original['tokens']} tokens. {machine()}.\n")
        head = ["bits/weight", f"perplexity (mean of {args.seeds} seeds ± s.d.)", "KL"]
        for bits in args.bits:
            grid = ["--grid", f"uniform:bits={bits},group={args.group}"]
            rows = [["method", *head]]
            for method in METHODS:
                rows.append(bench.row(method, ["--method", method, *grid]))
            for method in METHODS[:2]:
                finer = ["--grid", f"uniform:bits={bits},group={args.group // 2}"]
                rows.append(bench.row(f"{method}, group {args.group // 2}", ["--method", method, *finer]))
            print(f"{bits} bits, groups of {args.group}:\n\n{markdown(rows)}\n")
        grid = ["--grid", f"uniform:bits=3,group={args.group}"]
        rows = [["kept at FP16, 1 %", *head]]
        for label, arguments in SELECTORS.items():
            rows.append(bench.row(label, [*arguments, *grid]))
        print(f"Who should be kept? 3 bits, groups of {args.group}, plain rounding:\n\n{markdown(rows)}\n")


if __name__ == "__main__":
    main()
