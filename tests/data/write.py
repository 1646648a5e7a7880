"""Writes the .npy files of this directory, here or in the directory given. The files here were written by NumPy 2.4.6.

The bytes depend on NumPy (and for `long double` on an x86-64 machine) only: no clock, no random numbers.
"""

import sys
import warnings
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

WRITTEN_BY = "2.4.6"

target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent


def path(name):
    file = target / f"{name}.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


def save(name, *arrays, version=None):
    with path(name).open("wb") as file:
        for array in arrays:
            npy.write_array(file, np.asanyarray(array), version)


def assemble(name, text, data=b"", version=(1, 0), claim=None, align=64):
    """A file that NumPy would not write. `claim` is the length of the text that the file pretends to have."""
    size = 2 if version == (1, 0) else 4
    text = text if isinstance(text, bytes) else text.encode("utf-8")
    text += b" " * (-(8 + size + len(text) + 1) % align) + b"\n"
    length = len(text) if claim is None else claim
    path(name).write_bytes(b"\x93NUMPY" + bytes(version) + length.to_bytes(size, "little") + text + data)


def header(descr="'<f8'", order="False", shape="(3,)"):
    return f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"


THREE = np.array([0.5, 1.5, 2.5], "<f8")


def types():
    """Three elements of every plain type."""
    save("types/b1", np.array([True, False, True]))
    for kind in "iu":
        for size in (1, 2, 4, 8):
            limits = np.iinfo(f"{kind}{size}")
            save(f"types/{kind}{size}", np.array([limits.min, 1, limits.max], f"<{kind}{size}"))
    for size in (2, 4, 8):
        save(f"types/f{size}", np.array([-1.5, 0.25, np.finfo(f"f{size}").max], f"<f{size}"))
    for size in (8, 16):
        save(f"types/c{size}", np.array([1 - 2j, 0.5j, -3], f"<c{size}"))
    # An x87 number has 10 bytes; those that fill it up are whatever was in memory.
    extended = np.array([-1.5, 0.25, 3], np.longdouble)
    extended.view(np.uint8).reshape(-1, 16)[:, 10:] = 0
    save("types/f16", extended)
    save("types/c32", np.repeat(extended, 2).view(np.clongdouble))
    save("types/S5", np.array([b"", b"abc", b"abcde"], "|S5"))
    save("types/U3", np.array(["", "a\u00e9", "\u65e5\u672c\U0001f600"], "<U3"))
    save("types/V7", np.arange(21, dtype=np.uint8).view("|V7"))
    save("types/datetime", np.array(["1970-01-01T00:00:00.000000001", "NaT", "2024-02-29"], "<M8[ns]"))
    save("types/timedelta", np.array([-1, "NaT", 86400], "<m8[s]"))
    save("types/object", np.array([None, 1, "two"], dtype=object))
    for name, array in {
        "f8": np.array([-1.5, 0.25, 3], ">f8"),
        "i4": np.array([-1, 2, 3], ">i4"),
        "c16": np.array([1 - 2j, 0.5j, -3], ">c16"),
        "U3": np.array(["", "a", "abc"], ">U3"),
        "datetime": np.array([1, 2, 3], ">M8[ns]"),
    }.items():
        save(f"big_endian/{name}", array)


def shapes():
    """The numbers 0, 1, 2, ... in the order of the file's indices, so that no two elements are alike."""
    for shape in ((), (1,), (3, 4), (5, 1), (2, 3, 4), (2, 1, 3, 1, 2, 1, 1, 2), (0,), (0, 3), (3, 0, 2), (2, 0)):
        array = np.arange(np.prod(shape, dtype=int), dtype="<i4").reshape(shape)
        name = "x".join(map(str, shape)) or "scalar"
        save(f"shapes/{name}", array)
        if len(shape) > 1 and array.size > 5:
            save(f"shapes/{name}_f", np.asfortranarray(array))
    # `save` calls an array without elements C; `open_memmap` writes what it is told.
    npy.open_memmap(path("shapes/3x0_f"), "w+", "<i4", (3, 0), fortran_order=True)


def versions():
    for major in (1, 2, 3):
        save(f"versions/{major}", THREE, version=(major, 0))
    save("versions/two", np.arange(4, dtype="<i4").reshape(2, 2), np.array([0.5, 1.5, 2.5], "<f4"))
    # Before 1.14, NumPy aligned the data to 16 bytes, and before 1.9, Python 2 wrote `L`s.
    assemble("versions/align_16", header(), THREE.tobytes(), align=16)
    assemble("versions/python_2", header(shape="(3L,)"), THREE.tobytes(), align=16)
    assemble("versions/type_name", header(descr="'float64'"), THREE.tobytes())
    assemble("versions/type_letter", header(descr="'d'"), THREE.tobytes())
    assemble("versions/type_names_of_fields", header(descr="[('x', 'float32'), ('y', '=i')]"), THREE.tobytes())
    assemble("versions/reordered", '{"shape": (3,),\n"fortran_order":False,"descr":"<f8"}', THREE.tobytes())


def records():
    def record(name, dtype, *rows):
        array = np.zeros(len(rows), dtype)
        array[:] = list(rows)
        save(f"records/{name}", array)

    fields = [("flag", "|u1"), ("value", "<f8"), ("id", "<u4")]
    rows = (1, 0.5, 10), (2, 1.5, 20), (3, 2.5, 30)
    record("packed", fields, *rows)
    record("padded", np.dtype(fields, align=True), *rows)
    record("nested", [("at", [("x", "<f4"), ("y", "<f4")]), ("count", "<u2", (2,))], ((1, 2), (3, 4)), ((5, 6), (7, 8)))
    record("titles", [(("wind speed", "v"), "<f4"), (("direction", "d"), "<f4")], (1, 2), (3, 4))
    record("big_endian", [("x", ">f4"), ("y", "<f4")], (1, 2))
    record("objects", [("x", "<f4"), ("o", "|O")], (1, None))
    record("latin_1", [("gr\u00f6\u00dfe", "<f8"), ("m", "<f8")], (1, 2), (3, 4))
    record("utf_8", [("\u6e29\u5ea6", "<f8"), ("m", "<f8")], (1, 2), (3, 4))
    record("empty", [], ())


def headers():
    """What `create_npy` must write, to the byte."""
    for name, dtype, shape in (
        ("scalar", "<f8", ()),
        ("0", "<f8", (0,)),
        ("5", "<f8", (5,)),
        ("3x4", "<f8", (3, 4)),
        ("complex", "<c16", (2,)),
        ("bytes", "|u1", (5,)),
        ("text", "<U3", (2,)),
        ("record", [("flag", "|u1"), ("", "|V7"), ("value", "<f8"), ("id", "<u4"), ("", "|V4")], (2,)),
        ("names_latin_1", [("gr\u00f6\u00dfe", "<f8")], (2,)),
        ("names_utf_8", [("\u6e29\u5ea6", "<f8")], (2,)),
        ("names_quoted", [("it's", "<f4"), ('"', "<f4"), ("a\\b\t", "<f4"), ("it's \"", "<f4")], (2,)),
        # A text that ends just where the data could begin; NumPy adds 64 spaces all the same.
        ("full_line", [("a" * 32, "<f8")], (2,)),
    ):
        save(f"headers/{name}", np.zeros(shape, npy.descr_to_dtype(dtype)))
    save("headers/3x4_f", np.zeros((3, 4), order="F"))
    for name, fortran_order in (("123456x2", False), ("123456x2_f", True)):
        with path(f"headers/{name}").open("wb") as file:
            fields = {"descr": "<f8", "fortran_order": fortran_order, "shape": (123456, 2)}
            npy.write_array_header_1_0(file, fields)


def refused():
    good = THREE.tobytes()
    whole = path("versions/1").read_bytes()
    for name, contents in {
        "nothing": b"",
        "preamble": whole[:8],
        "text_cut": whole[:100],
        "data_cut": whole[:-1],
        "data_missing": whole[:128],
        "trailing": whole + b"\0",
        "magic": b"\x93NUMPZ" + whole[6:],
        "zip": b"PK\x03\x04" + bytes(60),
        "version_1_1": whole[:7] + b"\x01" + whole[8:],
        "version_4": whole[:6] + b"\x04" + whole[7:],
    }.items():
        path(f"refused/{name}").write_bytes(contents)
    assemble("refused/claims_4_gib", header(), good, (2, 0), claim=0xFFFF_FFFF)
    assemble("refused/claims_less", header(), good, claim=40)
    assemble("refused/claims_40_kb", header(), good, claim=40_000)
    assemble("refused/unaligned", header(), good, align=71)
    assemble("refused/not_utf_8", header().encode().replace(b"f8", b"\xff8"), good, (3, 0))
    for name, text in {
        "not_a_dictionary": "['<f8', False, (3,)]",
        "no_end": header()[:-2],
        "more": header() + " or 1",
        "key_missing": "{'descr': '<f8', 'shape': (3,), }",
        "key_unknown": header()[:-1] + "'x': 1}",
        "key_twice": header()[:-1] + "'shape': (3,)}",
        "order_number": header(order="1"),
        "shape_list": header(shape="[3]"),
        "shape_number": header(shape="(3)"),
        "shape_negative": header(shape="(-3,)"),
        "shape_code": header(shape="(__import__('os').getpid(),)"),
        "shape_beyond_usize": header(shape=f"({2**64},)"),
        "shape_beyond_memory": header(shape=f"({2**62}, {2**62})"),
        "shape_beyond_memory_empty": header(shape=f"({2**62}, 0, {2**62})"),
        "shape_65_axes": header(shape=f"({'1, ' * 65})"),
        "type_unknown": header(descr="'<f3'"),
        "type_name": header(descr="'f64'"),
        "type_number": header(descr="8"),
        "type_string_open": header(descr="'<f8"),
        "type_too_deep": header(descr="[('x', " * 40 + "'<f8'" + ")]" * 40),
        "type_too_large": header(descr=f"[('x', '<f8', ({2**61},)), ('y', '<f8')]"),
        "field_without_type": header(descr="[('x',)]"),
    }.items():
        assemble(f"refused/{name}", text, good)


# NumPy warns of every version that older ones cannot read.
warnings.simplefilter("ignore")
for group in (types, shapes, versions, records, headers, refused):
    group()
