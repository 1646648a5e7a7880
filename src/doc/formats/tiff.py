import numpy as np
import tifffile

stack = np.random.default_rng(8).integers(0, 4000, (11, 31, 41), dtype="u2")
tifffile.imwrite("stack.tif", stack, photometric="minisblack")
for index, plane in enumerate(stack):
    tifffile.imwrite(f"plane-{index:04}.tif", plane)

stack = tifffile.memmap("stack.tif", mode="r")
print(stack.mean(), np.median(stack))
