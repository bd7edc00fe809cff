#!/usr/bin/env python3
"""Dump what the Python package gguf makes of random blocks of every GGUF type that Karat reads.

tests/fixtures/gguf/blocks.safetensors holds for each type "<type>.blocks", U8 [blocks, bytes], and
"<type>.weights", F32 [blocks, values]: what its own dequantization gives. Karat must match bit for
bit.

    python tools/dump_blocks.py

Needs gguf, numpy and safetensors; run it again only when a type is added.
"""
import pathlib

import gguf
import numpy as np
from safetensors.numpy import save_file

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests/fixtures/gguf/blocks.safetensors"
TYPES = ("Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS IQ3_S IQ3_XXS IQ2_S IQ2_XS "
         "IQ2_XXS IQ1_S IQ1_M TQ1_0 TQ2_0 MXFP4").split()
WEIGHTS = 512  # of each type


def finite_blocks(kind, generator) -> tuple:
    """Random bytes, drawn again until every weight is finite."""
    values, size = gguf.GGML_QUANT_SIZES[kind]
    blocks, weights = [], []
    while len(blocks) < WEIGHTS // values:
        block = generator.integers(0, 256, size, dtype=np.uint8)
        with np.errstate(all="ignore"):
            found = gguf.quants.dequantize(block, kind)
        if np.isfinite(found).all():
            blocks.append(block)
            weights.append(found)
    return np.stack(blocks), np.stack(weights).astype(np.float32)


tensors = {}
for number, name in enumerate(TYPES):
    blocks, weights = finite_blocks(gguf.GGMLQuantizationType[name], np.random.default_rng(number))
    tensors |= {f"{name}.blocks": blocks, f"{name}.weights": weights}
OUT.parent.mkdir(parents=True, exist_ok=True)
save_file(tensors, OUT)
