#!/usr/bin/env python3
"""GAQAT beside what it is made of, on PACS with one domain left out; prints Markdown.

    python3 tools/vision_contest.py pacs.safetensors --work FOLDER [--program build/release/karat_vision]
        [--bits 4 3] [--seeds 3] [--steps 1500] [--methods ...] [--domains ...] [--flips flips.svg]

The data is what tools/pacs.py writes. Every run is one call of karat_vision whose JSON is kept in the work folder: an
interrupted contest goes on, and prints what is there. Accuracy is that on the domain left out, at the step whose accuracy
on held-out images of the others was highest; means over the domains, ± the standard error of that mean over the seeds.
--flips draws the disorder of each scale over time (needs matplotlib).
"""
import argparse
import collections
import json
import pathlib
import statistics
import subprocess

from karat_cli import ROOT, markdown

# name -> whether convolutions are quantized, and which gradients a step takes. A threshold of 0 freezes nothing: that is
# sagm with a record of the signs.
METHODS = {"full precision": (False, ""), "full precision, SAGM": (False, "sagm"), "LSQ": (True, ""),
           "LSQ, SAGM": (True, "gaqat:threshold=0"), "LSQ, SAGM, GAQAT": (True, "gaqat"),
           "LSQ, SAGM, GAQAT, never thawed": (True, "gaqat:thaw=0")}


def run(args, method, bits, domain, seed):
    """The result of one run, from the work folder where an earlier call left it; None: not run, with --only-print."""
    quantized, policy = METHODS[method]
    bits = bits if quantized else 0
    name = f"{method}_{bits}_{domain}_{seed}_{args.steps}_{args.width}".replace(" ", "-").replace(",", "")
    kept = args.work / f"{name}.json"
    if not kept.exists():
        if args.only_print:
            return None
        command = [args.program, args.data, "--target", domain, "--bits", bits, "--seed", seed, "--steps", args.steps,
                   "--width", args.width, "--policy", policy]
        found = subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, text=True, check=True).stdout
        scratch = kept.with_suffix(".tmp")
        scratch.write_text(found)
        scratch.rename(kept)
    return json.loads(kept.read_text())


def cells(runs, domains, seeds):
    """Accuracy by domain and their mean, in percent; a dash where runs are missing."""
    by_domain = {domain: [100 * runs[domain, seed]["chosen"]["target_accuracy"] for seed in seeds
                          if runs.get((domain, seed))] for domain in domains}
    row = [f"{statistics.mean(found):.1f}" if found else "-" for found in by_domain.values()]
    whole = [seed for seed in seeds if all(runs.get((domain, seed)) for domain in domains)]
    means = [statistics.mean(100 * runs[domain, seed]["chosen"]["target_accuracy"] for domain in domains) for seed in whole]
    error = f" ± {statistics.stdev(means) / len(means) ** 0.5:.1f}" if len(means) > 1 else ""
    return [*row, f"{statistics.mean(means):.1f}{error}" if means else "-", str(len(means))]


def draw(path, result, title):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    lines = collections.defaultdict(list)
    for point in result["scales"]:
        lines[point["scale"]].append((point["step"], point["disorder"]))
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for name, points in lines.items():
        axes.plot(*zip(*points), label=name, linestyle="-" if name.endswith("weight_step") else "--")
    axes.set(xlabel="step", ylabel="sign changes of the task's gradient", ylim=(0, 1), title=title)
    axes.legend(fontsize=5, ncol=2)
    figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, required=True)
    parser.add_argument("--program", type=pathlib.Path, default=ROOT / "build" / "release" / "karat_vision")
    parser.add_argument("--bits", type=int, nargs="+", default=[4, 3])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--width", type=int, default=16)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--domains", nargs="+", default=["art_painting", "cartoon", "photo", "sketch"])
    parser.add_argument("--only-print", action="store_true", help="runs nothing")
    parser.add_argument("--flips", type=pathlib.Path)
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)

    seeds = range(1, args.seeds + 1)
    rows = [(method, bits) for method in args.methods for bits in (args.bits if METHODS[method][0] else [0])]
    found = collections.defaultdict(dict)
    for seed in seeds:  # whole tables of one seed first, so that an interrupted contest compares like with like
        for method, bits in rows:
            for domain in args.domains:
                found[method, bits][domain, seed] = run(args, method, bits, domain, seed)
    head = ["method", "bits", *args.domains, "mean ± s.e.", "seeds"]
    print(markdown([head] + [[method, str(bits or 32), *cells(found[method, bits], args.domains, seeds)]
                             for method, bits in rows]))
    if args.flips:
        gated = [(key, result) for key, runs in found.items() for (domain, seed), result in runs.items()
                 if result and result["scales"] and "GAQAT" not in key[0]]
        (method, bits), result = gated[0]
        draw(args.flips, result, f"{method}, {bits} bits")


if __name__ == "__main__":
    main()
