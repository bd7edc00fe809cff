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


def windows_of(convention, encode, bos, text, context, limit):
    """(ids, first position that is scored) of every window."""
    if convention == "documents":
        pieces = [piece.strip(" \t\r\n") for piece in text.split("<|endoftext|>")]
        pieces = [piece for piece in pieces if piece][:limit]
        return [(encode(piece)[:context], 0) for piece in pieces]
    length = {"hf": context, "hf2048": 2048, "llamacpp512": 512}[convention]
    ids = encode(text)
    windows = [ids[i:i + length] for i in range(0, len(ids) - length + 1, length)][:limit]
    if convention != "llamacpp512":
        return [(window, 0) for window in windows]
    if bos is not None:
        windows = [[bos, *window[1:]] for window in windows]
    return [(window, length // 2) for window in windows]


@torch.no_grad()
def scores(model, ids, first):
    """Negative log-likelihood of ids[first + 1:], each given everything before it."""
    logits = model(torch.tensor([ids])).logits[0, first:-1]
    nll = torch.nn.functional.cross_entropy(logits.double(), torch.tensor(ids[first + 1:]), reduction="none")
    return nll.tolist()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--convention", choices=["hf", "hf2048", "llamacpp512", "documents"], default="hf")
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
