#!/usr/bin/env python3
"""Karat beside llama.cpp, AutoRound and GPTQModel on one model: file size, KL, perplexity, zero-shot accuracy.

    python3 tools/contest.py MODEL --calib FILE --text FILE --work FOLDER [--sizes 105.5MB 93.5MB 90.2MB]
        [--llama BIN --gguf F16.gguf --imatrix-text FILE [--types Q4_K_M Q3_K_M …]]
        [--peers PYTHON [--autoround 4:128 3:64 2:32] [--iterations 200] [--gptqmodel 4:128]]
        [--tasks arc_easy,piqa --data FOLDER [--items 500]]

Every competitor's model is scored by the same program, `karat evaluate --against MODEL`, so that numbers differ by
the weights alone: GGUF files as they are, the weights of AutoRound and GPTQModel as a folder that tools/contest_peers.py
writes, run by PYTHON. BIN holds llama-imatrix and llama-quantize, F16.gguf is MODEL as convert_hf_to_gguf.py makes it.
A size of karat is that of its weight files, of a GGUF the whole file, of the others what their codes, scales and zeros
take with embedding and head in 16 bits. Rows are kept in the work folder: an interrupted contest goes on, and a row is made again
once its file in FOLDER/rows is removed. Prints Markdown.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

from karat_cli import ROOT, Karat, markdown

TYPES = ["Q4_K_M", "Q3_K_M", "IQ4_XS", "IQ3_M", "IQ3_XXS", "Q2_K"]


def call(*command):
    """Runs a peer's program, what it prints kept from our table."""
    done = subprocess.run(list(map(str, command)), stdout=sys.stderr)
    if done.returncode != 0:
        sys.exit(f"failed with {done.returncode}: {' '.join(map(str, command))}")


def weight_bytes(model):
    files = [model] if model.is_file() else model.glob("*.safetensors")
    return sum(file.stat().st_size for file in files)


def karat_row(args, size):
    out = args.work / f"karat-{size}"
    args.karat.json("quantize", args.model, "--size", size, "--calib", args.calib, "--out", out, "--force")
    return out, weight_bytes(out)


def llama_row(args, kind):
    imatrix, out = args.work / "imatrix.gguf", args.work / f"{kind}.gguf"
    if not imatrix.exists():
        call(args.llama / "llama-imatrix", "-m", args.gguf, "-f", args.imatrix_text, "-o", imatrix, "-c", 512,
             "--chunks", 60)
    call(args.llama / "llama-quantize", "--imatrix", imatrix, args.gguf, out, kind)
    return out, weight_bytes(out)


def peer_row(args, peer, setting):
    bits, group = setting.split(":")
    out = args.work / f"{peer}-{bits}-{group}"
    call(args.peers, ROOT / "tools" / "contest_peers.py", peer, args.model, out, "--bits", bits, "--group", group,
         "--calib", args.calib, "--iterations", args.iterations)
    return out, json.loads((out / "contest.json").read_text())["bytes"]


def competitors(args):
    """Label -> how to make its model, which returns its path and its size in bytes."""
    rows = {f"karat --size {size}": lambda size=size: karat_row(args, size) for size in args.sizes}
    if args.llama:
        rows |= {f"llama.cpp {kind}": lambda kind=kind: llama_row(args, kind) for kind in args.types}
    if args.peers:
        for peer, settings in {"autoround": args.autoround, "gptqmodel": args.gptqmodel}.items():
            rows |= {f"{peer} {setting.replace(':', ' bits g')}": lambda p=peer, s=setting: peer_row(args, p, s)
                     for setting in settings}
    return rows


def score(args, model):
    """What `karat evaluate` says of a model beside the original; tasks with paired differences."""
    found = args.karat.json("evaluate", model, "--text", args.text, "--convention", args.convention, "--limit",
                            args.limit, "--against", args.model)
    tasks = []
    if args.tasks:
        tasks = args.karat.json("evaluate", model, "--tasks", args.tasks, "--data", args.data, "--limit",
                                args.items, "--against", args.model)["paired"]
    return {"perplexity": found["perplexity"], "kl": found["kl"]["mean"], "kl_error": found["kl"]["standard_error"],
            "top1": found["top1_agreement"], "tasks": [row for row in tasks if row["metric"] == "acc"]}


def measured(args, label, make):
    """A row, from the work folder where an earlier run left it."""
    kept = args.work / "rows" / f"{label.replace(' ', '_')}.json"
    if not kept.exists():
        started = time.monotonic()
        model, size = make()
        row = {"label": label, "bytes": size, "seconds": time.monotonic() - started, **score(args, model)}
        kept.parent.mkdir(exist_ok=True)
        kept.with_suffix(".tmp").write_text(json.dumps(row))
        kept.with_suffix(".tmp").rename(kept)
    return json.loads(kept.read_text())


def cells(row):
    tasks = [f"{100 * task['difference']:+.1f} ± {100 * task['standard_error']:.1f}" for task in row["tasks"]]
    return [row["label"], f"{row['bytes'] / 1e6:.1f}", f"{row['kl']:.4f} ± {row['kl_error']:.4f}",
            f"{row['top1']:.3f}", f"{row['perplexity']:.2f}", *tasks, f"{row['seconds']:.0f}"]


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--karat", default=ROOT / "build" / "release" / "karat")
    parser.add_argument("--calib", type=pathlib.Path, required=True)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--convention", default="llamacpp512")
    parser.add_argument("--limit", type=int, default=24, help="windows scored")
    parser.add_argument("--work", type=pathlib.Path, required=True, help="folder of models and rows")
    parser.add_argument("--sizes", nargs="*", default=["105.5MB", "93.5MB", "90.2MB"])
    parser.add_argument("--llama", type=pathlib.Path, help="folder of llama.cpp's programs")
    parser.add_argument("--gguf", type=pathlib.Path, help="the model in F16 for llama.cpp")
    parser.add_argument("--imatrix-text", type=pathlib.Path, help="plain text")
    parser.add_argument("--types", nargs="*", default=TYPES)
    parser.add_argument("--peers", help="Python with auto-round or gptqmodel")
    parser.add_argument("--autoround", nargs="*", default=["4:128", "3:64", "2:32"], help="BITS:GROUP")
    parser.add_argument("--gptqmodel", nargs="*", default=["4:128"], help="BITS:GROUP")
    parser.add_argument("--iterations", type=int, default=200, help="of AutoRound")
    parser.add_argument("--tasks", help="as in karat evaluate --tasks")
    parser.add_argument("--data", type=pathlib.Path, help="as in karat evaluate --data")
    parser.add_argument("--items", type=int, default=0, help="of each task, its first ones; 0: all")
    args = parser.parse_args()
    if args.llama and not (args.gguf and args.imatrix_text):
        parser.error("--llama takes --gguf and --imatrix-text too")
    if bool(args.tasks) != bool(args.data):
        parser.error("--tasks and --data go together")
    return args


def main():
    args = arguments()
    args.work.mkdir(parents=True, exist_ok=True)
    args.karat = Karat(args.karat)
    rows = [measured(args, label, make) for label, make in competitors(args).items()]
    tasks = [f"{task['task']}, points" for task in rows[0]["tasks"]]
    head = ["what", "MB", "KL", "top-1", "perplexity", *tasks, "seconds to make"]
    print(markdown([head, *(cells(row) for row in sorted(rows, key=lambda row: -row["bytes"]))]))


if __name__ == "__main__":
    main()
