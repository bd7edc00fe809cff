#!/usr/bin/env python3
"""Measures what the papers of GWQ, DAQ and PQI claim, on one small model; prints Markdown.

    python3 tools/claims.py gwq|daq|pqi MODEL --calib FILE --text FILE [--convention hf] [--limit N]
                            [--seeds 3] [--samples 16] [--length 512] [--group 32] [--other-calib FILE]

Every row is a `karat quantize` and a `karat evaluate --against MODEL`; its flags stand in TABLES. --other-calib is a text
of another kind, for the tables that ask what calibrating on it costs. docs/results.md holds what it printed.
"""
import argparse
import collections
import json
import pathlib
import struct
import tempfile

from karat_cli import markdown
from results import SELECTORS, Bench, add_arguments, machine

UNIFORM = ["--grid", "uniform:bits={bits},group={group}"]
ROUNDED = ["--method", "rtn", *UNIFORM]
KEPT = ["--method", "gwq", *UNIFORM]
DAQ = ["--method", "daq", "--grid"]


def detached(metric, ratio, rounds=1):
    """Plain rounding, then the most expensive weights brought back."""
    return [*ROUNDED, "--metric", metric, "--detach", f"{ratio},rounds={rounds}"]


def hosted(flags, kept, none):
    """A selector's flags on another host: the method that keeps, and the one that does not."""
    return [{"gwq": kept, "rtn": none}.get(flag, flag) for flag in flags] + UNIFORM


def gwq_tables(args):
    sizes = {f"{rule}, {n} sequences": [*KEPT, "--metric", metric, "--samples", n]
             for rule, metric in (("\\|g\\|", "gradient"), ("Hessian", "hessian")) for n in (1, 8, 64)}
    ratios = {f"{100 * ratio:g} %": [*KEPT, "--ratio", ratio] for ratio in (0.001, 0.005, 0.01, 0.02, 0.05)}
    ranges = {"range without the kept": KEPT, "range with them": detached("gradient", 0.01)}
    tables = [(f"Who is kept? 1 %, {bits} bits, {host}", bits,
               {name: hosted(flags, kept, none) for name, flags in SELECTORS.items()})
              for bits in (3, 4) for host, kept, none in (("rounding", "gwq", "rtn"), ("GPTQ", "gwq-obs", "gptq"))]
    tables.append(("Data: 1 % kept, 3 bits", 3, sizes))
    tables += [(f"Share kept, {bits} bits", bits, {"0 %": ROUNDED, **ratios}) for bits in (3, 4)]
    tables.append(("Range of a group, 3 bits, 1 %", 3, ranges))
    if args.other_calib:
        other = {"its own kind": KEPT, "another kind": [*KEPT, "--calib", args.other_calib]}
        tables.append(("Text of calibration, 3 bits, 1 %", 3, other))
    return tables


def daq_tables(args):
    rows = {"INT4 min-max": ROUNDED,
            "NF4 absmax": ["--method", "rtn", "--grid", "nf4:group={group},symmetric=1"],
            "NF4 min-max": ["--method", "rtn", "--grid", "nf4:group={group}"],
            "AWQ, INT4": ["--method", "awq", "--group", "{group}"],
            "AWQ, NF4": ["--method", "awq", "--grid", "nf4:group={group},fit=mse,cost=activation"],
            "DAQ, alignment alone": ["--method", "rtn", "--grid", "nf4:group={group},fit=daq,epochs=0"],
            "DAQ, descent alone, from absmax": [*DAQ, "nf4:group={group},fit=daq,start=absmax,zero=zero"],
            "DAQ, descent alone, from min-max": [*DAQ, "nf4:group={group},fit=daq,start=minmax"],
            "DAQ": [*DAQ, "nf4:group={group},fit=daq"],
            "AWQ and DAQ": ["--method", "awq-daq", "--group", "{group}"]}
    formats = {f"{grid}, {name}": ["--method", method, "--grid", f"{grid}{',' if ':' in grid else ':'}group={{group}}{fit}"]
               for grid in ("nf4", "fp4", "e2m1", "e2m1:smallest=0.0625") for name, method, fit in (("min-max", "rtn", ""),
                                                                           ("DAQ", "daq", ",fit=daq"))}
    tables = [(f"{'Rows' if group == 0 else f'Groups of {group}'}", 4, rows, group) for group in args.groups]
    tables.append(("Formats", 4, formats))
    for group in (0, args.group):
        few = {f"{n} × 64 tokens": [*DAQ, "nf4:group={group},fit=daq", "--samples", n, "--length", 64]
               for n in (8, 16, 64, 256)}
        tables.append((f"Calibration tokens, {'rows' if group == 0 else f'groups of {group}'}", 4, few, group))
    other = {f"{n} epochs": [*DAQ, f"nf4:group={{group}},fit=daq,epochs={n}"] for n in (1, 10, 40)}
    other |= {f"inputs of the {inputs} prefix": [*DAQ, "nf4:group={group},fit=daq", "--inputs", inputs]
              for inputs in ("original", "quantized")}
    tables.append(("Epochs and inputs", 4, other))
    return tables


def pqi_tables(args):
    metrics = {"random": "random:seed={seed}", "\\|w\\|": "magnitude", "\\|g\\|": "gradient", "\\|gΔ\\|": "gradient:key=gd",
               "F": "fisher", "F·Δ²": "fisher:key=fd", "Hⱼⱼ·Δ²": "hessian:key=diag",
               "PQI, 1": "pqi:nodes=1", "PQI, 8": "pqi", "PQI, 32": "pqi:nodes=32"}
    tables = [(f"Who is brought back? {100 * ratio:g} %, 3 bits", 3,
               {"none": ROUNDED} | {name: detached(metric, ratio) for name, metric in metrics.items()})
              for ratio in (0.0005, 0.005)]
    tables.append(("Rounds, 0.5 %, 3 bits", 3, {f"{n} rounds": detached("pqi", 0.005, n) for n in (1, 2, 4)}))
    share = {name: ["--method", "rtn", *UNIFORM, "--metric", "pqi", "--selector", selector]
             for name, selector in (("uniform share", "adaptive:0.0045,power=0"), ("adaptive share", "adaptive:0.0045"),
                                    ("adaptive, power 2", "adaptive:0.0045,power=2"))}
    tables.append(("Shares by layer, 0.45 %, 3 bits", 3, {"none": ROUNDED, **share}))
    budget = {f"{share:g} % brought back": detached("pqi", share / 100) for share in (0.5, 1, 2)}
    budget |= {f"groups of {group}": ["--method", "rtn", "--grid", f"uniform:bits=3,group={group}"]
               for group in (args.group, args.group * 3 // 4, args.group // 2)}
    tables.append(("The same bits spent otherwise, 3 bits", 3, budget))
    return tables


TABLES = {"gwq": gwq_tables, "daq": daq_tables, "pqi": pqi_tables}


def kept_weights(folder):
    """{(layer, row, column)} of the weights at FP16 in a Karat folder."""
    kept = set()
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        raw = path.read_bytes()
        size = struct.unpack("<Q", raw[:8])[0]
        header, data = json.loads(raw[8:8 + size]), raw[8 + size:]

        def values(name, code):
            begin, end = header[name]["data_offsets"]
            return struct.unpack(f"<{(end - begin) // struct.calcsize(code)}{code}", data[begin:end])

        for name in [n for n in header if n.endswith(".outlier_columns")]:
            layer = name.rsplit(".", 1)[0]
            columns = iter(values(name, "H"))
            counts = layer + ".outlier_counts"
            kept |= {(layer, row, next(columns))
                     for row, count in enumerate(values(counts, "B" if header[counts]["dtype"] == "U8" else "H"))
                     for _ in range(count)}
    return kept


class Claims(Bench):
    def table(self, title, bits, rows, group=None):
        values = {"bits": bits, "group": self.args.group if group is None else group}
        head = ["bits/weight", f"perplexity (mean of {self.args.seeds} seeds ± s.d.)", "KL"]
        print(f"{title}:\n\n{markdown([['', *head]] + [self.row(*row, **values) for row in rows.items()])}\n", flush=True)

    def overlaps(self):
        """How alike the weights are that GWQ keeps from other data or by another rule (Jaccard)."""
        def kept(*flags, seed=1):
            self.quantize([*KEPT, *flags], seed, bits=3, group=self.args.group)
            return kept_weights(self.out)

        many = kept("--samples", 64)
        for label, other in {"1 sequence": kept("--samples", 1), "8 sequences": kept("--samples", 8),
                             "64 others": kept("--samples", 64, seed=2), "\\|w\\|": kept("--metric", "magnitude"),
                             "Hessian, 64": kept("--metric", "hessian", "--samples", 64)}.items():
            print(f"- \\|g\\| of 64 sequences and {label}: {len(many & other) / len(many | other):.3f} of the kept in common")
        print()

    def pattern(self):
        """The share that adaptive ratios give to each kind of layer."""
        recipe = [*ROUNDED, "--metric", "pqi", "--selector", "adaptive:0.0045"]
        kept = collections.Counter()
        for tensor in self.quantize(recipe, 1, bits=3, group=self.args.group)["tensors"]:
            kept[tensor["name"].rsplit(".", 1)[-1]] += tensor["kept"]
        print("Share of what is kept: " + ", ".join(f"{kind} {100 * share / kept.total():.0f} %"
                                                    for kind, share in kept.most_common()) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("paper", choices=TABLES)
    add_arguments(parser)
    parser.add_argument("--other-calib")
    parser.add_argument("--groups", type=int, nargs="+", default=[0, 64, 32], help="of DAQ's first tables; 0: rows")
    args = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="karat-claims-") as scratch:
        claims = Claims(args, scratch)
        original = claims.evaluate(args.model)
        print(f"Original: perplexity {original['perplexity']:.4f} ± {original['standard_error']:.4f} over "
              f"{original['tokens']} tokens. {machine()}.\n")
        for table in TABLES[args.paper](args):
            claims.table(*table)
        if args.paper == "gwq":
            claims.overlaps()
        if args.paper == "pqi":
            claims.pattern()


if __name__ == "__main__":
    main()
