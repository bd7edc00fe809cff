#!/usr/bin/env python3
"""Convert the tiny models of tests/fixtures/families to GGUF with llama.cpp's own converter.

tests/fixtures/gguf/families/<name>.gguf is the folder of that name, in F32 and without a tokenizer:
what Karat computes from it must be what transformers computes from the folder
(tests/fixtures/families/<name>/expected.safetensors).

    python tools/dump_gguf.py LLAMA_CPP [NAME ...]

LLAMA_CPP is a source tree of llama.cpp. Needs torch, transformers and gguf; run it again only when
an architecture is added.
"""
import argparse
import logging
import pathlib
import sys

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests/fixtures"
# Those that GGUF has no words for are left out: windows of Llama-like models, all of YaRN.
NAMES = ("gemma gpt2 granite granitemoe internlm3 llama-tied llama3 mistral3 mixtral olmoe phi3 qwen2 qwen2-yarn "
         "qwen2_5_vl qwen2_moe qwen2_vl qwen3 qwen3_moe qwen3_vl seed_oss smollm3").split()


def convert(folder: pathlib.Path, file: pathlib.Path) -> None:
    import conversion
    import gguf

    base = conversion.base.ModelBase
    hparams = base.load_hparams(folder, False)
    kind = conversion.get_model_class(conversion.base.get_model_architecture(hparams, conversion.base.ModelType.TEXT))
    kind.set_vocab = lambda self: None
    model = kind(folder, gguf.LlamaFileType.ALL_F32, file)
    if "n_positions" in model.hparams:  # GPT-2's folders of today do not say it twice
        model.hparams["n_ctx"] = model.hparams["n_positions"]
    model.write()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("llama_cpp", type=pathlib.Path)
    parser.add_argument("names", nargs="*", default=NAMES)
    options = parser.parse_args()
    sys.path[:0] = [str(options.llama_cpp), str(options.llama_cpp / "gguf-py")]
    logging.disable(logging.INFO)
    out = FIXTURES / "gguf/families"
    out.mkdir(parents=True, exist_ok=True)
    for name in options.names:
        convert(FIXTURES / "families" / name, out / f"{name}.gguf")


if __name__ == "__main__":
    main()
