import h5py
import numpy as np

with h5py.File("run.h5", "w") as file:
    file["velocity"] = np.random.default_rng(4).normal(size=(21, 31, 41))
    velocity = file["velocity"]
    offset, size = velocity.id.get_offset(), velocity.id.get_storage_size()

with h5py.File("run.h5") as file:
    velocity = file["velocity"]
    assert velocity.chunks is None and velocity.external is None  # contiguous
    assert velocity.dtype == "<f8" and size == velocity.size * 8
    print(offset, np.mean(velocity), np.median(velocity))
