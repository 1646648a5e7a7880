import numpy as np
from scipy.io import wavfile

samples = np.random.default_rng(6).integers(-9000, 9000, (10_001, 2), dtype="i2")
wavfile.write("sound.wav", 44_100, samples)

rate, samples = wavfile.read("sound.wav", mmap=True)
print(samples[:, 0].mean(), np.median(samples[:, 0]))
