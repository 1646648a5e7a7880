import numpy as np
from scipy.io import loadmat, savemat

table = np.random.default_rng(7).normal(size=(301, 51))
savemat("table.mat", {"scale": 0.5, "table": table}, do_compression=False)

table = loadmat("table.mat")["table"]
print(table.mean(), np.median(table))
