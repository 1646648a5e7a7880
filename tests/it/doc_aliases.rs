//! Search aliases in the documentation: names of NumPy, and of systems that run many processes.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// Which item is found under which names.
const ALIASES: [(&str, &[&str]); 46] = [
    ("quantile", &["median", "nanmedian", "percentile", "nanpercentile", "nanquantile"]),
    ("sum", &["nansum"]),
    ("mean", &["nanmean"]),
    ("var", &["nanvar", "variance"]),
    ("std", &["nanstd"]),
    ("min", &["nanmin", "amin"]),
    ("max", &["nanmax", "amax"]),
    ("summary", &["describe"]),
    ("weighted_mean", &["average"]),
    ("central_moment", &["moment"]),
    ("skewness", &["skew"]),
    ("argmin", &["nanargmin"]),
    ("argmax", &["nanargmax"]),
    ("argwhere", &["where", "nonzero", "flatnonzero"]),
    ("count_where", &["count_nonzero"]),
    ("pearson_correlation", &["corrcoef"]),
    ("histogram", &["bincount"]),
    ("Bins", &["digitize", "histogram_bin_edges"]),
    ("range", &["ptp"]),
    ("map_into", &["astype"]),
    ("accumulate_axis", &["apply_along_axis"]),
    ("into_shape_with_order", &["reshape"]),
    ("MmapArray MmapArrayCow MmapArrayMut", &["memmap"]),
    ("$raw open_file", &["fromfile"]),
    ("$npy open_file_npy", &["load"]),
    ("ArrayAppender", &["NpyAppendArray"]),
    ("NpzArchive", &["savez", "NpzFile"]),
    ("create_npy", &["open_memmap"]),
    ("to_mmap", &["tofile"]),
    ("to_mmap_npy", &["save"]),
    ("from_bytes", &["frombuffer"]),
    ("numpy", &["transpose"]),
    ("reading", &["pread", "endian"]),
    ("sources", &["lazy", "decode"]),
    (
        "formats",
        &["fits", "h5py", "hdf5", "matlab", "netcdf", "nifti", "safetensors", "tiff", "wav"],
    ),
    ("open_npy_field", &["dtype.fields"]),
    ("scaled", &["BSCALE", "BZERO", "add_offset", "rescale", "scale_factor"]),
    ("fill_value", &["BLANK", "_FillValue", "masked_equal", "masked_values", "missing_value"]),
    ("to_f64", &["mapv"]),
    ("re", &["real"]),
    ("im", &["imag"]),
    ("norm", &["abs", "magnitude", "modulus"]),
    ("select", &["take", "gather"]),
    ("shuffle", &["permutation"]),
    ("copy_into", &["copyto"]),
    ("many_machines", &["mpi", "slurm", "cluster"]),
];

/// Adds the names that precede each item of a file.
fn read(path: &Path, found: &mut BTreeMap<String, Vec<String>>) {
    if path.is_dir() {
        return fs::read_dir(path).unwrap().for_each(|entry| read(&entry.unwrap().path(), found));
    }
    if path.extension().is_none_or(|extension| extension != "rs") {
        return;
    }
    let mut waiting = Vec::new();
    for line in fs::read_to_string(path).unwrap().lines().map(str::trim) {
        if line.starts_with("#[doc(alias") {
            waiting.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
        } else if !waiting.is_empty() && !line.starts_with("#[") {
            let name =
                line.split(['(', '<', '{']).next().unwrap().split_whitespace().last().unwrap();
            waiting
                .drain(..)
                .for_each(|alias| found.entry(alias).or_default().push(name.to_owned()));
        }
    }
}

#[test]
fn aliases_belong_to_one_item_each() {
    let mut found = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    found.values_mut().for_each(|items: &mut Vec<String>| items.sort());
    let found: BTreeMap<_, _> =
        found.into_iter().map(|(alias, items)| (alias, items.join(" "))).collect();
    let expected = ALIASES.iter().flat_map(|&(items, aliases)| {
        aliases.iter().map(move |alias| (alias.to_string(), items.to_owned()))
    });
    assert_eq!(found, expected.collect());
}
