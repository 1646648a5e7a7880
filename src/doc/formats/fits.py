import numpy as np
from astropy.io import fits

temperature = np.random.default_rng(1).normal(1000, 40, (301, 201))
hdu = fits.PrimaryHDU(temperature)
hdu.scale("int32", bscale=0.01, bzero=1000)
hdu.writeto("image.fits")

image = fits.getdata("image.fits")
print(image.mean(), np.median(image))
