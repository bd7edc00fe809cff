#!/usr/bin/env python3
"""Trains the tables of the column trellis and prints them as src/format/codec/column-trellis/code.cpp has them.

A value is a sum of table entries whose indices mix a code with those above it (docs/format.md, section 10). The
search for the best codes of normal numbers (Viterbi) and the least squares for the tables that suit these codes
best take turns; of several random beginnings the one whose rounded tables code other numbers best is printed.

    tools/column_tables.py 4 --seeds 8

Needs numpy. The tables of code.cpp: of 2 and 5 bits with --seeds 3, of 3 bits with --seeds 1, of 4 bits with --seeds 8.
"""

import argparse

import numpy as np

# By width: factor[table][row], shift[table], 1 / step, deviation of the values that training begins with. Values
# have to spread wider than the numbers that they code: there the search has few paths to choose from.
CODES = {
    2: ([[1, 4, 0, 0, 0, 0], [1, 4, 1, 4, 0, 0], [1, 4, 1, 4, 1, 4]], [0, 0, 0], 8, 1.02),
    3: ([[1, 2, 0, 0], [2, 1, 1, 0], [1, 2, 2, 1], [2, 1, 2, 1]], [0, 0, 0, 0], 8, 1.08),
    4: ([[1, 0, 0], [1, 1, 0], [1, 1, 1]], [0, 0, 0], 8, 1.2),
    5: ([[1, 0, 0], [1, 2, 0], [2, 1, 4]], [0, 1, 1], 16, 1.2),
}


def times(factor, codes):
    """Products without carries."""
    product = np.zeros_like(codes)
    for bit in range(4):
        if factor >> bit & 1:
            product ^= codes << bit
    return product


# Of a state: the last codes that a value depends on, the newest lowest.
STATE_BITS = {2: 12, 3: 12, 4: 12, 5: 13}


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
    sequences, n = x.shape
    choices, seams = 1 << bits, 1 << (STATE_BITS[bits] - bits)
    cost, back = None, np.empty((n, sequences, seams), np.uint8)
    for t in range(n):
        error = (x[:, t, None] - values) ** 2
        if t > 0:
            before = cost.reshape(sequences, choices, seams)
            back[t] = before.argmin(1)
            least = np.take_along_axis(before, back[t][:, None].astype(np.int64), 1)[:, 0]
            error.reshape(sequences, seams, choices)[...] += least[:, :, None]
        cost = error
    states = np.empty((sequences, n), np.int64)
    states[:, -1] = cost.argmin(1)
    every = np.arange(sequences)
    for t in range(n - 1, 0, -1):
        seam = states[:, t] >> bits
        states[:, t - 1] = back[t][every, seam].astype(np.int64) * seams + seam
    return cost.min(1).mean() / n, states


def sums(tables, index):
    return sum(table[at] for table, at in zip(tables, index))


def normal(rng, sequences):
    x = rng.normal(size=(sequences, 256))
    return (x / np.sqrt(np.square(x).mean())).astype(np.float32)


def train(bits, seed, rounds=16):
    """Tables [tables, 16] of values."""
    rng, index = np.random.default_rng(seed), indices(bits)
    count = len(index)
    quantiles = np.sort(rng.normal(size=(4000, 16)), axis=1).mean(0)
    tables = np.stack([rng.permutation(quantiles) for _ in range(count)])
    tables *= CODES[bits][3] / sums(tables, index).std()
    for _ in range(rounds):
        x = normal(rng, 24)
        _, states = search(x, sums(tables, index).astype(np.float32), bits)
        states, x = states[:, 6:].ravel(), x[:, 6:].ravel().astype(np.float64)
        at = [index[t][states] + 16 * t for t in range(count)]
        size = 16 * count
        normal_matrix, right = np.eye(size) * len(x) * 1e-5, len(x) * 1e-5 * tables.ravel()
        for a in at:
            right += np.bincount(a, x, size)
            for b in at:
                normal_matrix += np.bincount(a * size + b, minlength=size * size).reshape(size, size)
        tables = np.linalg.solve(normal_matrix, right).reshape(count, 16)
    return tables


def rounded(tables, bits):
    """Tables of integers from 0 on, and the sum that stands for 0."""
    scale, low = CODES[bits][2], tables.min(1, keepdims=True)
    return np.round((tables - low) * scale).astype(int), int(np.round(-low.sum() * scale))


def show(bits, tables, zero):
    factors, shifts, scale = CODES[bits][:3]
    braces = lambda numbers: "{" + ", ".join(map(str, numbers)) + "}"
    between = ",\n               "
    print(f"    {{.bits = {bits},\n     .rows = {len(factors[0])},\n     .tables = {len(tables)},\n"
          f"     .state_bits = {STATE_BITS[bits]},\n"
          f"     .factor = {braces(map(braces, factors))},\n     .shift = {braces(shifts)},\n"
          f"     .table = {{{between.join(map(braces, tables))}}},\n"
          f"     .zero = {zero},\n     .step = 1.0f / {scale}}},")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bits", type=int, choices=CODES)
    parser.add_argument("--seeds", type=int, default=8)
    parser.add_argument("--verbose", action="store_true", help="print the error that each seed leaves")
    options = parser.parse_args()
    index, test = indices(options.bits), normal(np.random.default_rng(99), 96)
    found = []
    for seed in range(options.seeds):
        tables, zero = rounded(train(options.bits, seed), options.bits)
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
