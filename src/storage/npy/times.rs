//! The units of `datetime64` and `timedelta64`: `[ns]`, `[25s]`, `[s/2]`.
#![forbid(unsafe_code)]

use super::scalar::split_number;

/// The units, with the shorter units (and their number per unit) in which NumPy counts fractions of
/// each.
const UNITS: [(&str, &[(i32, &str)]); 13] = [
    ("Y", &[(12, "M"), (52, "W"), (365, "D")]),
    ("M", &[(4, "W"), (30, "D"), (720, "h")]),
    ("W", &[(7, "D"), (168, "h"), (10_080, "m")]),
    ("D", &[(24, "h"), (1_440, "m"), (86_400, "s")]),
    ("h", &[(60, "m"), (3_600, "s")]),
    ("m", &[(60, "s"), (60_000, "ms")]),
    ("s", &[(1_000, "ms"), (1_000_000, "us")]),
    ("ms", &[(1_000, "us"), (1_000_000, "ns")]),
    ("us", &[(1_000, "ns"), (1_000_000, "ps")]),
    ("ns", &[(1_000, "ps"), (1_000_000, "fs")]),
    ("ps", &[(1_000, "fs"), (1_000_000, "as")]),
    ("fs", &[(1_000, "as")]),
    ("as", &[]),
];

/// Parses a unit with its brackets, and returns NumPy's form: `[1ns]` as `[ns]`, `[s/2]` as
/// `[500ms]`, `[generic]` as an empty string. Fractions that are not a whole, positive number of a
/// shorter unit are rejected (NumPy reads `[W/11]` as `[0Y]`).
pub(super) fn canonical(unit: &str) -> Option<String> {
    let inside = unit.strip_prefix('[')?.strip_suffix(']')?;
    let (count, rest) = match split_number(inside) {
        Some((digits, rest)) => (digits.parse::<i32>().ok()?, rest),
        None => (1, inside),
    };
    let (name, divisor) = match rest.split_once('/') {
        Some((name, divisor)) => match split_number(divisor)? {
            (digits, "") => (name, digits.parse::<i32>().ok().filter(|&divisor| divisor > 0)?),
            _ => return None,
        },
        None => (rest, 1),
    };
    let name = if name == "μs" { "us" } else { name };
    if name == "generic" {
        return (divisor == 1).then(String::new);
    }
    let (name, fractions) = UNITS.iter().find(|(unit, _)| *unit == name)?;
    let (count, name) = match divisor {
        1 => (count, name),
        _ => {
            let (parts, name) = fractions.iter().find(|(parts, _)| parts % divisor == 0)?;
            (count.checked_mul(parts / divisor)?, name)
        }
    };
    Some(if count == 1 { format!("[{name}]") } else { format!("[{count}{name}]") })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values are those of NumPy 2.4.
    #[test]
    fn units_are_normalized_as_in_numpy() {
        for (unit, expected) in [
            ("ns", "[ns]"),
            ("1ns", "[ns]"),
            ("01ns", "[ns]"),
            ("25s", "[25s]"),
            ("+5s", "[5s]"),
            (" \t5s", "[5s]"),
            ("000000000000000000000005s", "[5s]"),
            ("2147483647s", "[2147483647s]"),
            ("0s", "[0s]"),
            ("μs", "[us]"),
            ("s/1", "[s]"),
            ("s/2", "[500ms]"),
            ("s/ +02", "[500ms]"),
            ("25s/5", "[5000ms]"),
            ("s/1000", "[ms]"),
            ("s/1000000", "[us]"),
            ("μs/2", "[500ns]"),
            ("Y/12", "[M]"),
            ("Y/5", "[73D]"),
            ("M/3", "[10D]"),
            ("3W/7", "[3D]"),
            ("3W/14", "[36h]"),
            ("D/24", "[h]"),
            ("h/60", "[m]"),
            ("fs/1000", "[as]"),
            ("generic", ""),
            ("7generic", ""),
        ] {
            assert_eq!(canonical(&format!("[{unit}]")).as_deref(), Some(expected), "{unit}");
        }
        for unit in [
            "",
            "1",
            "0",
            "x",
            "0x1s",
            " s",
            "s ",
            "5 s",
            "-5s",
            "2147483648s",
            "99999999999999999999s",
            "Ys",
            "B",
            "s/",
            "s/0",
            "s/-2",
            "s/3",
            "s/2x",
            "s/2 ",
            "s/2/2",
            "6s/3",
            "D/7",
            "as/2",
            "s/99999999999",
            "W/11",
            "2147483647m/2",
            "generic/2",
            "s][s",
            "s]",
            "[s",
        ] {
            assert_eq!(canonical(&format!("[{unit}]")), None, "{unit}");
        }
        for unit in ["", "[", "]", "[]", "[ns", "ns]", " [ns]", "[ns] "] {
            assert_eq!(canonical(unit), None, "{unit}");
        }
    }
}
