#!/usr/bin/env python3
"""Perplexity of a Hugging Face folder computed with transformers in float64, independently of Karat.

    python3 tools/reference_perplexity.py MODEL --text FILE --convention hf [--limit N]

src/evaluate/evaluate_test.cpp holds the numbers that it printed and compares Karat with them.
Needs torch, transformers, and sentencepiece for folders that have only a tokenizer.model.
"""
import argparse
import json
import math
import pathlib

import torch
import transformers


def load_tokenizer(folder):
    """(text -> ids with BOS as the tokenizer gives it, BOS id or None)."""
    if (folder / "tokenizer.json").exists():
        import tokenizers
        tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        start = tokenizer.encode("").ids
        return lambda text: tokenizer.encode(text).ids, start[0] if start else None
    import sentencepiece
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    bos = tokenizer.bos_id()
    return lambda text: [bos, *tokenizer.encode(text)], bos


def rolling(ids, context):
    """Windows of one document as lm-evaluation-harness 0.4.13 makes them; ids begins with the prefix token."""
    predicted, windows = 1, []
    while predicted < len(ids):
        end = min(predicted + context, len(ids))
        begin = max(0, end - context - 1)
        windows.append((ids[begin:end], predicted - 1 - begin))
        predicted = end
    return windows


def strided(ids, context, stride, limit):
    """Overlapping windows; each scores what is new, as in the guide of transformers' documentation."""
    windows, before = [], 1
    for begin in range(0, len(ids), stride):
        end = min(begin + context, len(ids))
        windows.append((ids[begin:end], before - 1 - begin))
        before = end
        if end == len(ids) or len(windows) == limit:
            return windows
    return windows


def windows_of(convention, encode, bos, text, context, limit):
    """(ids, first position that is scored) of every window."""
    if convention in ("documents", "lm-eval"):
        pieces = [piece for piece in text.split("<|endoftext|>") if piece.strip(" \t\r\n")][:limit]
        if convention == "lm-eval":
            return [window for piece in pieces for window in rolling([bos, *encode(piece)], context)]
        return [(encode(piece.strip(" \t\r\n"))[:context], 0) for piece in pieces]
    length = {"hf": context, "strided": context, "hf2048": 2048, "llamacpp512": 512}[convention]
    ids = encode(text)
    if convention == "strided":
        return strided(ids, context, context // 2, limit)
    windows = [ids[i:i + length] for i in range(0, len(ids) - length + 1, length)][:limit]
    if convention != "llamacpp512":
        return [(window, 0) for window in windows]
    if bos is not None:
        windows = [[bos, *window[1:]] for window in windows]
    return [(window, length // 2) for window in windows]


@torch.no_grad()
def scores(model, ids, first):
    """Negative log-likelihood of ids[first + 1:], each given everything before it."""
    logits = model(torch.tensor([ids[:-1]])).logits[0, first:]
    nll = torch.nn.functional.cross_entropy(logits.double(), torch.tensor(ids[first + 1:]), reduction="none")
    return nll.tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--convention", choices=["hf", "hf2048", "llamacpp512", "strided", "documents", "lm-eval"], default="hf")
    parser.add_argument("--limit", type=int, help="most windows or documents")
    args = parser.parse_args()

    model = transformers.AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float64).eval()
    encode, bos = load_tokenizer(args.model)
    text = args.text.read_bytes().decode()
    windows = windows_of(args.convention, encode, bos, text, model.config.max_position_embeddings, args.limit)
    nll = [value for ids, first in windows for value in scores(model, ids, first)]
    mean = math.fsum(nll) / len(nll)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in nll) / (len(nll) - 1) / len(nll))
    print(json.dumps({"convention": args.convention, "windows": len(windows), "tokens": len(nll),
                      "perplexity": math.exp(mean), "standard_error": math.exp(mean) * spread}, indent=1))


if __name__ == "__main__":
    main()
