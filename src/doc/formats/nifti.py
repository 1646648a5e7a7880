import nibabel
import numpy as np

raw = np.random.default_rng(5).integers(-500, 500, (21, 31, 11), dtype="i2")
image = nibabel.Nifti1Image(raw, np.eye(4))
image.header.set_slope_inter(0.5, 100)
nibabel.save(image, "brain.nii")

values = nibabel.load("brain.nii").get_fdata()
print(values.mean(), np.median(values))
