#!/usr/bin/env python3
"""The main job on the bundled model: the default method beside GWQ and plain rounding, at 4 and 3 bits.

    python3 tools/demo.py [--karat build/release/karat] [--keep FOLDER]
"""
import argparse
import itertools
import pathlib
import tempfile

from karat_cli import ROOT, Karat, table

MODEL = ROOT / "models" / "karat-tiny"
TEXT = ROOT / "examples" / "text"
PROMPT = "The captain looked at the harbour and"
METHODS = {  # the default first; the others on one grid of about the same size
    "karat": ["--bits", "{bits}"],
    "gwq": ["--grid", "uniform:bits={bits},group=64"],
    "rtn": ["--grid", "uniform:bits={bits},group=64"],
}


def measure(karat, name, model, original):
    """One row of the table and a few words of the model."""
    against = ["--against", original] if model != original else []
    quality = karat.json("evaluate", model, "--text", TEXT / "evaluation.txt", "--convention", "hf", *against)
    portrait = karat.json("inspect", model)
    sample = karat.text(model, PROMPT, 60)
    row = [name, f"{portrait['file_bytes'] / 1e6:.2f}", f"{portrait['file_bits_per_weight']:.3f}",
           f"{portrait['bits_per_weight']:.3f}",
           f"{quality['perplexity']:.2f} ± {quality['standard_error']:.2f}",
           f"{quality['kl']['mean']:.4f}" if against else "–", f"{sample['decode_tokens_per_second']:.0f}"]
    return row, f"{name}: {PROMPT}{sample['text']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--karat", default=ROOT / "build" / "release" / "karat")
    parser.add_argument("--keep", type=pathlib.Path, help="folder for the quantized models; default: a temporary one")
    args = parser.parse_args()
    karat = Karat(args.karat)
    rows = [["model", "MB", "bits/param", "layer bits", "perplexity", "KL", "tokens/s"]]
    texts = []
    with tempfile.TemporaryDirectory(prefix="karat-demo-") as scratch:
        folder = args.keep or pathlib.Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        models = {"original": MODEL}
        for bits, method in itertools.product((4, 3), METHODS):
            out = folder / f"{method}-{bits}"
            size = [part.format(bits=bits) for part in METHODS[method]]
            data = ["--calib", TEXT / "calibration.txt"] if method != "rtn" else []
            karat.json("quantize", MODEL, "--method", method, *size, *data, "--out", out, "--force")
            models[f"{method} {bits} bits"] = out
        for name, model in models.items():
            row, text = measure(karat, name, model, MODEL)
            rows.append(row)
            texts.append(text)
    print(table(rows))
    print("\n" + "\n\n".join(texts))


if __name__ == "__main__":
    main()
