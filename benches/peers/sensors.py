"""The pipeline of `examples/sensors` as a NumPy user writes it; run by `benches/peers.sh`.

sensors.py RAW SENSORS READINGS OUT prints, as the example does, one JSON object.
"""

import json
import os
import resource
import sys
import time

import numpy as np

raw_path, sensors, readings, out = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
shape = (sensors, readings)
os.makedirs(out, exist_ok=True)

begin = time.perf_counter()
raw = np.memmap(raw_path, dtype="f4", mode="r", shape=shape)
processed = np.memmap(os.path.join(out, "processed.f32"), dtype="f4", mode="w+", shape=shape)
for first in range(0, readings, 10_000):
    chunk = raw[:, first : first + 10_000]
    processed[:, first : first + 10_000] = (chunk * 9 / 5 + 32) * 1.02
processed.flush()

statistics = np.memmap(os.path.join(out, "statistics.f64"), dtype="f8", mode="w+", shape=(sensors, 5))
for sensor in range(sensors):
    row = processed[sensor]
    statistics[sensor] = np.mean(row), np.std(row), np.min(row), np.max(row), np.median(row)
statistics.flush()

anomalies = 0
for sensor in range(sensors):
    mean, std = statistics[sensor, :2]
    anomalies += int(np.sum(np.abs(processed[sensor] - mean) > 3 * std))
correlation = np.corrcoef(processed[:50:10, :10_000])
seconds = time.perf_counter() - begin

report = {
    "seconds": seconds,
    "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    "total_anomalies": anomalies,
    "statistics": statistics[:10].tolist(),
    "correlation": correlation.tolist(),
}
print(json.dumps(report))
