"""What NumPy takes for an operation on a mapped file of f64; run by `benches/peers.sh`.

peers.py FILE ROWS COLUMNS OPERATION prints seconds, the peak resident set in MiB, and a number that tells the result.
"""

import resource
import sys
import time

import numpy as np

path, rows, columns, operation = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
table = np.memmap(path, dtype="f8", mode="r", shape=(rows, columns))


def convert():
    out = np.memmap(path + ".out", dtype="f8", mode="w+", shape=table.shape)
    rows_in_8_mib = max(1, (8 << 20) // (columns * 8))
    for begin in range(0, rows, rows_in_8_mib):
        chunk = table[begin : begin + rows_in_8_mib]
        out[begin : begin + rows_in_8_mib] = (chunk * 9 / 5 + 32) * 1.02
    return out[-1, -1]


operations = {
    "sum": table.sum,
    "mean": table.mean,
    "std": table.std,
    "min": table.min,
    "max": table.max,
    "summary": lambda: (table.mean(), np.isnan(table).sum(), table.min(), table.max(), table.std())[-1],
    "median": lambda: np.median(table),
    "quantiles": lambda: np.quantile(table, [0.01, 0.25, 0.5, 0.75, 0.99])[4],
    "map": convert,
}

best = float("inf")
for _ in range(3):
    begin = time.perf_counter()
    result = operations[operation]()
    best = min(best, time.perf_counter() - begin)
print(f"{best:.4f} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} {float(result):.17g}")
