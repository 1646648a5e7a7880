"""Measure NumPy for an operation on a mapped file of f64; run by `benches/peers.sh`.

operations.py FILE ROWS COLUMNS OPERATION prints seconds, the peak resident set in MiB, and one number
of the result.
"""

import os
import resource
import sys
import time

import numpy as np

path, rows, columns, operation = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
table = np.memmap(path, dtype="f8", mode="r", shape=(rows, columns))
flat = table.reshape(-1)
target = path + ".out"


def convert():
    out = np.memmap(target, dtype="f8", mode="w+", shape=table.shape)
    rows_in_8_mib = max(1, (8 << 20) // (columns * 8))
    for begin in range(0, rows, rows_in_8_mib):
        chunk = table[begin : begin + rows_in_8_mib]
        out[begin : begin + rows_in_8_mib] = (chunk * 9 / 5 + 32) * 1.02
    return out[-1, -1]


def transpose():
    out = np.memmap(target, dtype="f8", mode="w+", shape=table.T.shape)
    for i in range(0, columns, 1024):
        for j in range(0, rows, 1024):
            out[i : i + 1024, j : j + 1024] = table[j : j + 1024, i : i + 1024].T
    return out[1, 0]


def take_rows():
    every = flat[: len(flat) // 128 * 128].reshape(-1, 128)
    indices = np.arange(len(every) // 10) * 2_654_435_761 % len(every)
    out = np.memmap(target, dtype="f8", mode="w+", shape=(len(indices), 128))
    for begin in range(0, len(indices), 4096):
        out[begin : begin + 4096] = every[indices[begin : begin + 4096]]
    return out[-1, -1]


operations = {
    "sum": table.sum,
    "mean": table.mean,
    "min": table.min,
    "max": table.max,
    "std": table.std,
    "var": table.var,
    "summary": lambda: (table.mean(), np.isnan(table).sum(), table.min(), table.max(), table.std())[-1],
    "mean_axis0": lambda: table.mean(axis=0)[0],
    "mean_axis1": lambda: table.mean(axis=1)[0],
    "std_axis0": lambda: table.std(axis=0)[0],
    "std_axis1": lambda: table.std(axis=1)[0],
    "median": lambda: np.median(flat),
    "quantiles5": lambda: np.quantile(flat, [0.01, 0.25, 0.5, 0.75, 0.99])[4],
    "quantiles10000": lambda: np.quantile(flat, (np.arange(10_000) + 0.5) / 1e4)[9_900],
    "median_axis0": lambda: np.median(table, axis=0)[0],
    "median_axis1": lambda: np.median(table, axis=1)[0],
    "histogram100": lambda: np.histogram(flat, bins=100)[0][50],
    "corrcoef64": lambda: np.corrcoef(table[:64])[0, 1],
    "argmin": table.argmin,
    "map": convert,
    "transpose": transpose,
    "take_rows": take_rows,
}

# Maps all pages first. Each operation then runs at least twice, because the first large copy waits
# for the kernel to allocate memory.
table.sum()
seconds = []
while len(seconds) < 2 or (len(seconds) < 3 and sum(seconds) < 6):
    if os.path.exists(target):
        os.remove(target)
    begin = time.perf_counter()
    result = operations[operation]()
    seconds.append(time.perf_counter() - begin)
print(f"{min(seconds):.6f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} {float(result):.17g}")
