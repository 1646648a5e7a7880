//! Random headers: about half of them valid, the others nearly valid.

/// Small, fast, and the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % bound
    }

    pub fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

/// What a file begins with, and how long its data should be if the header means what it says.
#[derive(Clone, Debug, Default)]
pub struct Header {
    pub bytes: Vec<u8>,
    /// The dictionary alone.
    pub text: String,
    /// `None` if there is no such number, or none that fits 128 bits.
    pub data_len: Option<u128>,
}

/// Element types with their sizes.
const TYPES: [(&str, usize); 36] = [
    ("'<f8'", 8),
    ("'<f8'", 8),
    ("'<f4'", 4),
    ("'>f8'", 8),
    ("'|u1'", 1),
    ("'|i1'", 1),
    ("'|b1'", 1),
    ("'<i2'", 2),
    ("'<u4'", 4),
    ("'>i8'", 8),
    ("'<c8'", 8),
    ("'<c16'", 16),
    ("'<f2'", 2),
    ("'|S3'", 3),
    ("'|S0'", 0),
    ("'<U2'", 8),
    ("'|V5'", 5),
    ("'<M8[ns]'", 8),
    ("'<m8[D]'", 8),
    ("'<M8[25us]'", 8),
    ("'float32'", 4),
    ("'uint8'", 1),
    ("'d'", 8),
    ("'>d'", 8),
    ("'|H'", 2),
    ("'=?'", 1),
    ("'b'", 1),
    ("'single'", 4),
    ("'cdouble'", 16),
    ("'datetime64[ns]'", 8),
    ("'<f 8'", 8),
    ("[('x', 'f'), ('y', 'int16', 2)]", 8),
    ("[('x', '<f4'), ('y', '|u1', (2,))]", 6),
    ("[('a', '<i2'), ('b', [('c', '|V2'), ('d', '<f8')])]", 12),
    ("[(('title', 'x'), '<f8')]", 8),
    ("[('', '|u1'), ('f5', '<u2')]", 3),
];

const WRONG_TYPES: [&str; 27] = [
    "'|O'",
    "'O'",
    "[('x', '|O')]",
    "'<f3'",
    "'<float32'",
    "'f64'",
    "'u'",
    "'M[ns]'",
    "'float_'",
    "'<f8",
    "'<x8'",
    "''",
    "'8'",
    "8",
    "None",
    "True",
    "('<f8', (2,))",
    "[]",
    "[()]",
    "[('x',)]",
    "[('x', '<f8'), ('x', '<f4')]",
    "[('x', '<f8', -1)]",
    "[('x', '<f8', (9223372036854775807, 2))]",
    "[[[[[[[[[[]]]]]]]]]]",
    "'|S99999999999999999999'",
    "'<M8[xs]'",
    "{'names': ['x'], 'formats': ['<f8']}",
];

const WRONG_LENGTHS: [&str; 16] = [
    "-1",
    "True",
    "None",
    "np.int64(3)",
    "3.0",
    "1e3",
    "0x10",
    "0b1",
    "1_0",
    "03",
    "+3",
    "'3'",
    "3 4",
    "99999999999999999999",
    "340282366920938463463374607431768211456",
    "()",
];

/// A new one.
pub fn header(random: &mut Random) -> Header {
    let mut size = 0;
    let descr = match random.one_in(12) {
        true => random.of(&WRONG_TYPES).to_owned(),
        false => {
            let (descr, bytes) = TYPES[random.below(TYPES.len())];
            size = bytes;
            descr.to_owned()
        }
    };
    let order = match random.one_in(25) {
        true => random.of(&["1", "0", "None", "true", "'C'", "False True"]),
        false => random.of(&["True", "False", "False"]),
    };
    let mut lens = Some(Vec::new());
    let mut shape = String::new();
    let count = match random.below(40) {
        0 => 30 + random.below(40),
        1 => 1_000,
        _ => random.below(5),
    };
    for _ in 0..count {
        let len = length(random, &mut lens);
        shape += &len;
        shape += random.of(&[", ", ",", " , ", ",  "]);
    }
    let shape = match (random.below(30), count) {
        (0, _) => format!("[{shape}]"),
        (1, _) => shape,
        (2, _) => format!("({shape}"),
        (3, _) => format!("(({shape}),)"),
        (4, _) => format!("({})", shape.trim_end().trim_end_matches(',')),
        (5, _) => format!("({shape},)"),
        _ => format!("({shape})"),
    };
    let data_len = lens.and_then(|lens| {
        if lens.contains(&0) {
            return Some(0);
        }
        lens.iter().try_fold(size as u128, |bytes, &len| bytes.checked_mul(u128::from(len)))
    });

    let mut entries = vec![
        format!("'descr': {descr}"),
        format!("'fortran_order': {order}"),
        format!("'shape': {shape}"),
    ];
    match random.below(60) {
        0 => drop(entries.remove(random.below(3))),
        1 => entries.push(entries[random.below(3)].clone()),
        2 => entries.push("'extra': 1".to_owned()),
        3 => entries.swap(0, 2),
        4 => entries.rotate_left(1),
        5 => entries[0] = entries[0].replace('\'', "\""),
        6 => entries[0] = entries[0].replace("': ", "' :"),
        7 => entries[0] = format!("u{}", entries[0]),
        _ => {}
    }
    let last = random.of(&[", ", ", ", ",", "", " "]);
    let mut text = format!("{{{}{last}}}", entries.join(random.of(&[", ", ", ", ",", " ,\n "])));
    match random.below(80) {
        0 => text.push_str(" # a comment"),
        1 => text.push('}'),
        2 => drop(text.pop()),
        3 => text.insert(0, ' '),
        4 => text.push('\u{e9}'),
        5 => text = text.replace('\'', "\\'"),
        6 => text.push_str(";import os"),
        7 => text = "[".repeat(random.below(200)),
        8 => text = text.replace("False", "Fal\0se"),
        _ => {}
    }
    let mut header = Header { bytes: Vec::new(), data_len, text: text.clone() };
    finish(random, text, &mut header);
    header
}

fn length(random: &mut Random, lens: &mut Option<Vec<u64>>) -> String {
    if random.one_in(60) {
        *lens = None;
        return random.of(&WRONG_LENGTHS).to_owned();
    }
    let len = match random.below(30) {
        0 => 0,
        1 => (1 << random.below(64)) - 1,
        2 => 1 << random.below(64),
        3 => u64::from(u32::MAX),
        4 => i64::MAX as u64,
        5 => u64::MAX,
        6..10 => random.below(1_000) as u64,
        _ => random.below(6) as u64,
    };
    if let Some(lens) = lens {
        lens.push(len);
    }
    match random.one_in(20) {
        true => format!("{len}L"),
        false => len.to_string(),
    }
}

/// Puts magic, version and length before, and changes some bytes now and then.
fn finish(random: &mut Random, text: String, header: &mut Header) {
    let version = match random.below(40) {
        0 => random.below(256) as u8,
        1..6 => 3,
        6..12 => 2,
        _ => 1,
    };
    let mut body = text.into_bytes();
    if !random.one_in(20) {
        let before = if version == 1 { 10 } else { 12 };
        let padding = match random.one_in(4) {
            true => random.below(70),
            false => 63 - (before + body.len()) % 64,
        };
        body.extend(std::iter::repeat_n(b' ', padding));
        body.push(b'\n');
    }
    let claim = match random.below(100) {
        0 => random.below(70_000),
        1 => body.len() + 1,
        2 => body.len().saturating_sub(1 + random.below(20)),
        3 => u32::MAX as usize,
        _ => body.len(),
    };
    let bytes = &mut header.bytes;
    bytes.extend_from_slice(b"\x93NUMPY");
    bytes.extend_from_slice(&[version, if random.one_in(200) { 1 } else { 0 }]);
    match version {
        1 => bytes.extend_from_slice(&(claim as u16).to_le_bytes()),
        _ => bytes.extend_from_slice(&(claim as u32).to_le_bytes()),
    }
    bytes.extend_from_slice(&body);
    if random.one_in(8) {
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes[at] = random.below(256) as u8,
                1 => bytes[at] = b"{}[](),'\"\\<>=|0123456789LTFx \n"[random.below(30)],
                2 => bytes.insert(at, bytes[random.below(bytes.len())]),
                _ => drop(bytes.remove(at)),
            }
        }
        header.data_len = None;
        header.text = String::from_utf8_lossy(&bytes[10.min(bytes.len())..]).into_owned();
    }
}
