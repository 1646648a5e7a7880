import numpy as np
from scipy.io import netcdf_file

packed = np.random.default_rng(2).integers(-3000, 3000, (31, 41, 51))
packed[:, :3, :] = -9999
with netcdf_file("weather.nc", "w") as file:
    file.title = "Temperature"
    for name, length in zip(("time", "lat", "lon"), packed.shape):
        file.createDimension(name, length)
    variable = file.createVariable("t2m", "h", ("time", "lat", "lon"))
    variable.scale_factor, variable.add_offset, variable._FillValue = 0.01, 273.15, np.int16(-9999)
    variable[:] = packed

with netcdf_file("weather.nc", maskandscale=True) as file:
    values = file.variables["t2m"][:].compressed()
print(values.mean(), np.median(values))
