#!/usr/bin/env python3
"""How long `karat quantize` takes on a billion weights, and how much memory, method by method; prints Markdown.

    python3 tools/bench_methods.py [METHOD...] [--karat build/release/karat] [--samples 8] [--length 512]
                                   [--threads N] [--blocks 16] [--models DIR] [--random ...]

Every method runs on random models of one and of two blocks in the shape of Llama-3.2-1B (tools/random_llama.py): the
difference is what a block takes, the rest are the ends, and ends + 16 blocks is what the whole model would take. Memory
is the peak of what no file backs, taken further likewise. On a busy machine core-seconds say more than seconds; where
both cores have work all the time, half of them is the time. --models keeps the models; arguments after --random go to
random_llama.py, for other shapes. Needs numpy.
"""
import argparse
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from karat_cli import ROOT, Karat, markdown

GIB = 1024**3


def make_model(folder, layers, shape):
    if not folder.exists():
        subprocess.run([sys.executable, ROOT / "tools" / "random_llama.py", folder, "--layers", str(layers), *shape],
                       check=True)
    return folder


def make_text(path, count):
    """Enough words for `count` tokens of one byte each, whatever the windows leave over."""
    draw = random.Random(0)
    words = ("".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=draw.randint(2, 9))) for _ in range(count))
    path.write_text(" ".join(words) + "\n")
    return path


def anonymous_bytes(pid):
    try:
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # it has just ended
    return 0


def measure(command):
    """(seconds, core-seconds, peak anonymous bytes) of a command, looked at 20 times a second. It has no children."""
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile("w+") as messages:
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=messages)
        while True:
            pid, status, used = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, anonymous_bytes(process.pid))
            time.sleep(0.05)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            messages.seek(0)
            sys.exit(f"failed with {process.returncode}: {' '.join(map(str, command))}\n{messages.read()[-2000:]}")
    return time.monotonic() - start, used.ru_utime + used.ru_stime, peak


def row(method, args, models, text, out):
    data = ["--calib", text, "--samples", args.samples, "--length", args.length] if method["needs"] != "nothing" else []
    threads = ["--threads", args.threads] if args.threads else []
    one, two = (
        measure([args.karat, "quantize", model, "--method", method["name"], *data, *threads, "--out", out, "--force"])
        for model in models)

    def whole(first, second):
        block = max(0.0, second - first)
        return max(0.0, first - block) + args.blocks * block

    return [method["name"], f"{one[0]:.0f}", f"{two[0]:.0f}", f"{whole(one[0], two[0]) / 60:.1f}", f"{one[1]:.0f}",
            f"{two[1]:.0f}", f"{whole(one[1], two[1]) / 60:.1f}", f"{two[2] / GIB:.2f}",
            f"{whole(one[2], two[2]) / GIB:.2f}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("method", nargs="*", help="default: all")
    parser.add_argument("--karat", type=pathlib.Path, default=ROOT / "build" / "release" / "karat")
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--length", type=int, default=512)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--blocks", type=int, default=16, help="of the whole model")
    parser.add_argument("--models", type=pathlib.Path, help="where the models are kept, or to be kept")
    parser.add_argument("--random", nargs=argparse.REMAINDER, default=[])
    args = parser.parse_args()
    known = {method["name"]: method for method in Karat(args.karat).json("methods")["methods"]}
    if unknown := set(args.method) - set(known):
        parser.error(f"unknown methods: {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    all_blocks = f"{args.blocks} blocks"
    rows = [["method", "1 block s", "2 blocks s", f"{all_blocks} min", "1 block core-s", "2 blocks core-s",
             f"{all_blocks} core-min", "2 blocks GiB", f"{all_blocks} GiB"]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.models or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        models = [make_model(folder / f"blocks{count}", count, args.random) for count in (1, 2)]
        text = make_text(pathlib.Path(scratch) / "text.txt", 2 * args.samples * args.length)
        for name in args.method or known:
            rows.append(row(known[name], args, models, text, pathlib.Path(scratch) / "out"))
            print("  ".join(rows[-1]), file=sys.stderr, flush=True)
    print(markdown(rows))


if __name__ == "__main__":
    main()
