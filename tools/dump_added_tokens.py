#!/usr/bin/env python3
"""Writes tests/fixtures/tokenizers/added.json: what transformers makes of the files beside a tokenizer
(tokenizer_config.json, special_tokens_map.json, added_tokens.json). Each case names the fixture whose tokenizer it
takes, the files beside it, and the ids and texts that came out, or the token whose declared id transformers does
not give it. The C++ tests lay out the same folders.

Needs the packages transformers (5.24 was used), tokenizers, sentencepiece and protobuf; no network.

    tools/dump_added_tokens.py
"""

import json
import os
import pathlib
import re
import shutil
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"

from transformers import AutoTokenizer  # noqa: E402  (after the environment)

FIXTURES = pathlib.Path(__file__).parent.parent / "tests/fixtures/tokenizers"
FAST = {"tokenizer_class": "PreTrainedTokenizerFast"}
TEXTS = ["", "Hello world", "a<x>b", " <x> ", "a <x> <y>  b", "<x><y><x>", "<xy> <x", "a\n<y>\n", "<pad>a<q>",
         "<|begin_of_text|>Hi<|endoftext|>", "<s>Hi</s> there", "é<y>é", "the<x>the"]


def token(content, **flags):
    return dict({"content": content, "lstrip": False, "normalized": False, "rstrip": False, "single_word": False,
                 "special": True}, **flags)


def size_of(base):
    """Tokens of a fixture, added ones included: the first id that is free."""
    if base == "sentencepiece":
        return 560
    data = json.loads((FIXTURES / base / "tokenizer.json").read_text())
    return len(set(data["model"]["vocab"]) | {one["content"] for one in data["added_tokens"]})


def decoder(first, *tokens):
    return {"added_tokens_decoder": {str(first + i): one for i, one in enumerate(tokens)}}


def cases():
    """(name, fixture, how its tokenizer is laid out, files beside it)"""
    x, y = token("<x>"), token("<y>", special=False)
    for base in ("llama3", "gpt2", "llama2", "metaspace"):
        n = size_of(base)
        config = lambda **more: {"tokenizer_config.json": FAST | more}
        yield "no side files", base, "json", {}
        yield "two tokens", base, "json", config(**decoder(n, x, y))
        yield "no class", base, "json", {"tokenizer_config.json": decoder(n, x, y)}
        yield "flags", base, "json", config(**decoder(n, token("<x>", lstrip=True, rstrip=True),
                                                      token("<y>", lstrip=True, special=False)))
        yield "single word", base, "json", config(**decoder(n, token("<x>", single_word=True),
                                                            token("the", single_word=True, special=False)))
        yield "normalized", base, "json", config(**decoder(n, token("<x>", normalized=True),
                                                            token("<y>", normalized=True, special=False)))
        yield "a text of the vocabulary", base, "json", config(added_tokens_decoder={
            str(vocabulary(base)["the"]): token("the", special=False)}) if "the" in vocabulary(base) else {}
        yield "by number, not by letter", base, "json", config(**decoder(n, *[token(f"<x{i}>") for i in range(12)]))
        yield "a gap", base, "json", config(added_tokens_decoder={str(n): x, str(n + 2): y})
        yield "another's id", base, "json", config(added_tokens_decoder={"5": x})
        yield "roles alone", base, "json", config(pad_token="<pad>", eos_token="<y>")
        yield "a role makes special", base, "json", config(eos_token="<y>", **decoder(n, x, y))
        yield "a role that is an object", base, "json", config(
            pad_token=token("<pad>", rstrip=True) | {"__type": "AddedToken"})
        yield "more special tokens", base, "json", config(additional_special_tokens=["<x>"], image_token="<y>")
        yield "both names, one empty", base, "json", config(additional_special_tokens=["<x>"], extra_special_tokens={})
        yield "both names", base, "json", config(additional_special_tokens=["<x>"], extra_special_tokens=["<y>"])
        yield "extra special tokens", base, "json", config(extra_special_tokens={"audio_token": "<x>"})
        yield "added_tokens.json", base, "json", config() | {"added_tokens.json": {"<y>": n + 1, "<x>": n}}
        yield "added_tokens.json, roles", base, "json", config(pad_token="<x>") | {
            "added_tokens.json": {"<x>": n, "<y>": n + 1}}
        yield "added_tokens.json alone", base, "json", {"added_tokens.json": {"<x>": n}}
        yield "added_tokens.json, wrong", base, "json", config() | {"added_tokens.json": {"<x>": n + 1}}
        yield "added_tokens.json, ignored", base, "json", config(**decoder(n, x)) | {"added_tokens.json": {"<y>": n + 9}}
        yield "special_tokens_map.json", base, "json", config() | {
            "special_tokens_map.json": {"pad_token": "<pad>", "eos_token": token("<y>", lstrip=True)}}
        yield "special_tokens_map.json, both names", base, "json", config() | {
            "special_tokens_map.json": {"additional_special_tokens": ["<x>"], "extra_special_tokens": ["<y>"]}}
        yield from two_names_cases(base, config, decoder(n, x))
        yield "special_tokens_map.json, ignored", base, "json", config(**decoder(n, x)) | {
            "special_tokens_map.json": {"pad_token": "<pad>"}}
        yield "no BOS, and an EOS", base, "json", config(add_bos_token=False, add_eos_token=True, eos_token="<y>")
    yield from flag_cases()
    yield from sentencepiece_cases(x, y)
    yield from merges_cases(x, y)


def two_names_cases(base, config, listed):
    """extra_special_tokens and its old name, in either file."""
    old, new = "additional_special_tokens", "extra_special_tokens"
    lists = {"none": {}, "old": {old: ["<x>"]}, "new": {new: ["<y>"]}, "null": {new: None}, "empty": {new: []},
             "object": {new: {"audio_token": "<y>"}}, "object and old": {new: {"audio_token": "<y>"}, old: ["<x>"]},
             "role": {"image_token": "<y>"}}
    maps = {"old": {old: ["<q>"]}, "new": {new: ["<q>"]},
            "object": {new: {"image_token": "<q>"}}, "both": {old: ["<q>"], new: ["<pad>"]}, "old null": {old: None},
            "new null": {new: None}, "object and old": {new: {"image_token": "<q>"}, old: ["<pad>"]},
            "another role": {"image_token": "<q>"}}
    # A token that is an object under the old name stops transformers where nothing moves it to the new one.
    yield "object and old name", base, "json", config(**lists["object and old"])
    yield "object and old name, listed", base, "json", config(**lists["object and old"], **listed)
    yield "old name in the map, declared", base, "json", config() | {
        "special_tokens_map.json": {old: ["<x>"]}, "added_tokens.json": {"<x>": size_of(base)}}
    yield "roles in the order of the file", base, "json", config(video_token="<q>", image_token="<y>", **{
        new: {"second_token": "<x>", "first_token": "<pad>"}})
    yield "roles of the map in the order of the file", base, "json", config(image_token="<y>") | {
        "special_tokens_map.json": {"video_token": "<q>", "image_token": "<x>", "audio_token": "<pad>"}}
    if base == "llama3":
        for of_config, one in lists.items():
            for of_map, other in maps.items():
                yield f"config {of_config}, map {of_map}", base, "json", config(**one) | {
                    "special_tokens_map.json": other}


def flag_cases():
    """What tokenizer_config.json says of a token that tokenizer.json has with other flags."""
    first = vocabulary("llama3")["<|begin_of_text|>"]
    yield "other flags", "llama3", "json", {"tokenizer_config.json": FAST | {"added_tokens_decoder": {
        str(first): token("<|begin_of_text|>", rstrip=True, special=False)}}}
    yield "other flags, a role", "llama3", "json", {"tokenizer_config.json": FAST | {
        "bos_token": "<|begin_of_text|>", "added_tokens_decoder": {
            str(first): token("<|begin_of_text|>", rstrip=True, special=False)}}}


def sentencepiece_cases(x, y):
    base, n = "sentencepiece", 560
    llama = {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
             "add_bos_token": True}
    own = {"0": token("<unk>"), "1": token("<s>"), "2": token("</s>")}
    listed = {"added_tokens_decoder": own | {str(n): x, str(n + 1): y}}
    for legacy in (True, False):
        config = lambda **more: {"tokenizer_config.json": llama | {"legacy": legacy} | more}
        yield f"legacy {legacy}", base, "model", config()
        yield f"EOS too, legacy {legacy}", base, "model", config(add_eos_token=True)
        yield f"neither, legacy {legacy}", base, "model", config(add_bos_token=False, add_eos_token=False)
        yield f"added_tokens.json, legacy {legacy}", base, "model", config() | {
            "added_tokens.json": {"<x>": n, "<y>": n + 1}}
        yield f"added_tokens.json, role, legacy {legacy}", base, "model", config(pad_token="<x>") | {
            "added_tokens.json": {"<x>": n, "<y>": n + 1}}
        yield f"added_tokens.json, wrong, legacy {legacy}", base, "model", config() | {
            "added_tokens.json": {"<x>": n + 4}}
        yield f"two tokens, legacy {legacy}", base, "model", config(**listed)
        yield f"flags, legacy {legacy}", base, "model", config(added_tokens_decoder=own | {
            str(n): token("<x>", lstrip=True, rstrip=True), str(n + 1): token("<y>", rstrip=True, special=False)})
        yield f"pad, legacy {legacy}", base, "model", config(pad_token="<pad>")
        yield f"another BOS, legacy {legacy}", base, "model", config(bos_token="<x>")
        yield f"no space in front, legacy {legacy}", base, "model", config(add_prefix_space=False)


def merges_cases(x, y):
    for base, name in (("gpt2", "GPT2Tokenizer"), ("qwen2", "Qwen2Tokenizer")):
        n = len(vocabulary(base, added=False))
        end = {"<|endoftext|>": n}
        yield "model type", base, "merges", {"config.json": {"model_type": base}}
        for suffix in ("", "Fast"):
            yield f"class{suffix}", base, "merges", {"tokenizer_config.json": {"tokenizer_class": name + suffix}}
        config = lambda **more: {"tokenizer_config.json": {"tokenizer_class": name} | more}
        yield "BOS and EOS", base, "merges", config(add_bos_token=True, bos_token="<s>", add_eos_token=True)
        yield "space in front", base, "merges", config(add_prefix_space=True)
        yield "added_tokens.json", base, "merges", config() | {"added_tokens.json": end | {"<x>": n + 1, "<y>": n + 2}}
        yield "two tokens", base, "merges", config(**decoder(n, token("<|endoftext|>"), x, y))


def vocabulary(base, added=True):
    data = json.loads((FIXTURES / base / "tokenizer.json").read_text())
    more = {one["content"]: one["id"] for one in data["added_tokens"]} if added else {}
    return data["model"]["vocab"] | more


def lay_out(folder, base, layout, files):
    if layout == "json":
        data = json.loads((FIXTURES / base / "tokenizer.json").read_text())
        data["model"].setdefault("type", "BPE")
        (folder / "tokenizer.json").write_text(json.dumps(data))
    elif layout == "model":
        shutil.copy(FIXTURES / base / "tokenizer.model", folder)
    else:
        data = json.loads((FIXTURES / base / "tokenizer.json").read_text())
        (folder / "vocab.json").write_text(json.dumps(data["model"]["vocab"]))
        merges = [one if isinstance(one, str) else " ".join(one) for one in data["model"]["merges"]]
        (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    for name, content in files.items():
        (folder / name).write_text(json.dumps(content))


def declared(files):
    config = files.get("tokenizer_config.json", {})
    if "added_tokens_decoder" in config:
        return {one["content"]: int(i) for i, one in config["added_tokens_decoder"].items()}
    return files.get("added_tokens.json", {})


def told_apart(layout, text):
    """Before a part that begins with a space sentencepiece puts another one; transformers 5 leaves it out."""
    return layout == "model" and re.search("(^|>) ", text)


def expectation(folder, layout, files):
    tokenizer = AutoTokenizer.from_pretrained(folder)
    for content, i in declared(files).items():
        if tokenizer.convert_tokens_to_ids(content) != i:
            return {"refused": content}
    out = []
    for text in TEXTS:
        if told_apart(layout, text):
            out.append(None)
            continue
        ids = tokenizer(text)["input_ids"]
        out.append({"ids": ids, "text": tokenizer.decode(ids, skip_special_tokens=True),
                    "special": tokenizer.decode(ids)})
    return {"size": len(tokenizer), "cases": out}


def main():
    out = []
    for name, base, layout, files in cases():
        with tempfile.TemporaryDirectory() as folder:
            lay_out(pathlib.Path(folder), base, layout, files)
            out.append({"name": name, "base": base, "layout": layout, "files": files}
                       | expectation(pathlib.Path(folder), layout, files))
    lines = ",\n".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) for one in out)
    (FIXTURES / "added.json").write_text(
        f'{{"texts":{json.dumps(TEXTS, ensure_ascii=False)},"folders":[\n{lines}\n]}}\n')
    print(f"{len(out)} folders in {FIXTURES / 'added.json'}")


if __name__ == "__main__":
    main()
