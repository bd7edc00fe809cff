#!/usr/bin/env python3
"""Write the tables of points behind GGUF's IQ1, IQ2 and IQ3 types, src/core/block/grids/*.cpp.

The points are facts of the format: the Python package gguf has them as numbers. Each point becomes
one 16-bit word of digits, the first digit lowest.

    python tools/gguf_grids.py

Needs gguf and numpy; run it again only when a type is added.
"""
import pathlib

import numpy as np
from gguf import quants

OUT = pathlib.Path(__file__).resolve().parent.parent / "src/core/block/grids"
# file name: (class of gguf, name of the table, bits of a digit, values of the digits)
TABLES = {
    "iq2_xxs": (quants.IQ2_XXS, "kIq2XxsGrid", 2, [8, 25, 43]),
    "iq2_xs": (quants.IQ2_XS, "kIq2XsGrid", 2, [8, 25, 43]),
    "iq2_s": (quants.IQ2_S, "kIq2SGrid", 2, [8, 25, 43]),
    "iq3_xxs": (quants.IQ3_XXS, "kIq3XxsGrid", 3, [4, 12, 20, 28, 36, 44, 52, 62]),
    "iq3_s": (quants.IQ3_S, "kIq3SGrid", 3, [1, 3, 5, 7, 9, 11, 13, 15]),
    "iq1": (quants.IQ1_S, "kIq1Grid", 2, [-1, 0, 1]),
}
PER_LINE = 12


def words(kind, bits: int, values: list) -> list:
    kind.init_grid()
    points = kind.grid.reshape(kind.grid_shape).astype(int)
    digits = np.array([[values.index(value) for value in point] for point in points])
    return [int(sum(int(digit) << bits * i for i, digit in enumerate(point))) for point in digits]


for name, (kind, table, bits, values) in TABLES.items():
    numbers = [f"0x{word:04x}," for word in words(kind, bits, values)]
    lines = ["    " + " ".join(numbers[i : i + PER_LINE]) for i in range(0, len(numbers), PER_LINE)]
    (OUT / f"{name}.cpp").write_text(
        "// Written by tools/gguf_grids.py.\n#include \"core/block/grids/grids.h\"\n\n"
        "namespace karat::block {\n\n// clang-format off\n"
        f"const std::uint16_t {table}[{len(numbers)}] = {{\n" + "\n".join(lines) + "\n};\n// clang-format on\n\n"
        "}  // namespace karat::block\n")
