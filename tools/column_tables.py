#!/usr/bin/env python3
"""Trains the tables of the column trellis and prints them as src/format/codec/column-trellis/code.cpp has them.

A value is a sum of table entries whose indices mix a code with those above it (docs/format.md, section 10). The
search for the best codes of normal numbers (Viterbi) and the least squares for the tables that suit these codes
best take turns; of several random beginnings the one whose rounded tables code other numbers best is printed.

    tools/column_tables.py 4

Needs numpy, and some minutes. The tables of code.cpp are those of one seed, of
2 and 3 bits of --seeds 3.
"""

import argparse

import numpy as np

# By width: factor[table][row], shift[table], 1 / step, deviation of the values that training begins with. Values
# have to spread wider than the numbers that they code: there the search has few paths to choose from. Which codes
# meet in which table is the best of some hundred drawn at random, of few factors; the oldest code meets the newest
# alone, in table 0, which makes the search fast (src/grid/column-trellis/step.h).
CODES = {
    2: ([[1, 0, 0, 0, 0, 0, 1], [4, 0, 4, 1, 0, 0, 0], [0, 4, 0, 0, 1, 4, 0]], [0, 0, 0], 8, 1.05),
    3: ([[2, 0, 0, 0, 2], [1, 2, 0, 2, 0], [1, 0, 2, 0, 0]], [0, 0, 0], 8, 1.05),
    4: ([[1, 0, 0, 1], [1, 1, 0, 0], [1, 1, 1, 0]], [0, 0, 0], 8, 1.15),
    5: ([[1, 0, 1], [2, 0, 0], [1, 2, 0]], [1, 1, 1], 16, 1.15),
}


def times(factor, codes):
    """Products without carries."""
    product = np.zeros_like(codes)
    for bit in range(4):
        if factor >> bit & 1:
            product ^= codes << bit
    return product


# Of a state: the last codes that a value depends on, the newest lowest.
STATE_BITS = {bits: bits * len(code[0][0]) for bits, code in CODES.items()}


def indices(bits):
    """[tables, states]: where each state, the newest code in its lowest bits, looks into each table."""
    factors, shifts = CODES[bits][:2]
    states = np.arange(1 << STATE_BITS[bits])
    rows = [states >> bits * row & ((1 << bits) - 1) for row in range(len(factors[0]))]
    mixed = []
    for table, shift in zip(factors, shifts):
        index = np.zeros_like(states)
        for factor, codes in zip(table, rows):
            index ^= times(factor, codes)
        mixed.append(index >> shift & 15)
    return np.stack(mixed)


def search(x, values, bits):
    """Mean squared error and states [sequences, n] of the best path for each row of x."""
    found = [search_one(row, values.reshape(1 << bits, -1), bits) for row in x]
    return float(np.mean([error for error, _ in found])) / x.shape[1], np.stack([states for _, states in found])


def search_one(x, values, bits):
    """values [oldest code, the other codes of a state]; a seam is a state without its oldest or its newest code."""
    choices, seams = values.shape
    cost, back = np.zeros((choices, seams // choices, 1), np.float32), np.empty((len(x), seams), np.uint8)
    for t, number in enumerate(x):
        costs = np.square(values - number).reshape(choices, seams // choices, choices)
        costs += cost
        back[t] = costs.argmin(0).ravel()
        cost = costs.min(0).reshape(cost.shape)
    seam = int(cost.argmin())
    states = np.empty(len(x), np.int64)
    for t in range(len(x) - 1, -1, -1):
        states[t] = int(back[t][seam]) * seams + seam
        seam = states[t] >> bits
    return cost.min(), states


def sums(tables, index):
    return sum(table[at] for table, at in zip(tables, index))


def normal(rng, sequences):
    x = rng.normal(size=(sequences, 256))
    return (x / np.sqrt(np.square(x).mean())).astype(np.float32)


def train(bits, seed, rounds=12):
    """Tables [tables, 16] of values."""
    rng, index = np.random.default_rng(seed), indices(bits)
    count = len(index)
    numbers, tables = rng.normal(size=4000 * 16), np.zeros((count, 16))
    for table, at in zip(tables, index):
        used = np.unique(at)
        table[used] = rng.permutation(np.sort(numbers.reshape(-1, len(used)), axis=1).mean(0))
    tables *= CODES[bits][3] / sums(tables, index).std()
    for _ in range(rounds):
        x = normal(rng, 16)
        _, states = search(x, sums(tables, index).astype(np.float32), bits)
        states, x = states[:, 8:].ravel(), x[:, 8:].ravel().astype(np.float64)
        at = [index[t][states] + 16 * t for t in range(count)]
        size = 16 * count
        normal_matrix, right = np.eye(size) * len(x) * 1e-5, len(x) * 1e-5 * tables.ravel()
        for a in at:
            right += np.bincount(a, x, size)
            for b in at:
                normal_matrix += np.bincount(a * size + b, minlength=size * size).reshape(size, size)
        tables = np.linalg.solve(normal_matrix, right).reshape(count, 16)
    return tables


def rounded(tables, index, bits):
    """Tables of integers from 0 on, and the sum that stands for 0. What no state looks up is 0."""
    scale, whole, zero = CODES[bits][2], np.zeros(tables.shape, int), 0
    for table, at, to in zip(tables, index, whole):
        used = np.unique(at)
        to[used] = np.round((table[used] - table[used].min()) * scale)
        zero -= table[used].min() * scale
    return whole, int(np.round(zero))


def show(bits, tables, zero):
    factors, shifts, scale = CODES[bits][:3]
    braces = lambda numbers: "{" + ", ".join(map(str, numbers)) + "}"
    between = ",\n               "
    print(f"    {{.bits = {bits},\n     .rows = {len(factors[0])},\n     .factor = {braces(map(braces, factors))},\n     .shift = {braces(shifts)},\n"
          f"     .table = {{{between.join(map(braces, tables))}}},\n"
          f"     .zero = {zero},\n     .step = 1.0f / {scale}}},")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bits", type=int, choices=CODES)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--verbose", action="store_true", help="print the error that each seed leaves")
    options = parser.parse_args()
    index, test = indices(options.bits), normal(np.random.default_rng(99), 64)
    found = []
    for seed in range(options.seeds):
        tables, zero = rounded(train(options.bits, seed), index, options.bits)
        scale, all_sums = CODES[options.bits][2], sums(tables, index)
        if all_sums.max() >= 8 * scale:
            continue
        error, _ = search(test, ((all_sums - zero) / scale).astype(np.float32), options.bits)
        if options.verbose:
            print(f"// seed {seed}: {error:.5f}, sums up to {all_sums.max()}")
        found.append((error, seed, tables.tolist(), zero))
    if not found:
        parser.error(f"sums of {options.seeds} beginnings are all too large; try more --seeds")
    show(options.bits, *min(found)[2:])


if __name__ == "__main__":
    main()
