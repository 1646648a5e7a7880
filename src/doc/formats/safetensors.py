import numpy as np
from safetensors.numpy import save_file

weight = np.random.default_rng(3).normal(size=(301, 201)).astype("f4")
bias = np.arange(7, dtype="i1")
save_file({"bias": bias, "weight": weight}, "model.safetensors", metadata={"format": "np"})

print(weight.mean(dtype="f8"), float(np.median(weight)))
