//! Partial results saved as JSON and read again: the same to the last bit, or refused.

use std::fmt::Debug;

use ndarray_mmap::prelude::*;
use ndarray_mmap::stats::{
    ArgMinMax, Bins, Element, Histogram, Histogram2d, MinMax, Moments, Sum, WeightedMoments,
};
use serde::{Serialize, de::DeserializeOwned};

use super::noise;

/// JSON has the sign of zeros, and as many digits as tell any two floats apart: the same text is the same bits.
#[track_caller]
fn round_trips<T: Serialize + DeserializeOwned + Debug + PartialEq>(value: &T) {
    let json = serde_json::to_string(value).unwrap();
    let read: T = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"));
    assert_eq!(&read, value);
    assert_eq!(serde_json::to_string(&read).unwrap(), json);
}

#[track_caller]
fn is_refused<T: DeserializeOwned + Debug>(json: &str, why: &str) {
    let error = serde_json::from_str::<T>(json).unwrap_err().to_string();
    assert!(error.contains(why), "{error}");
}

#[test]
fn summary_round_trips() {
    round_trips(&ndarray::array![1.0, 2.0, 4.0].chunked().summary().unwrap());
    round_trips(&ndarray::array![3_u8, 1, 7].chunked().summary().unwrap());
}

/// Every accumulator, of nothing, of one element, of all in slices, and of all one by one.
#[track_caller]
fn all_round_trip<A>(elements: &[A])
where
    A: Element<Sum: Serialize + DeserializeOwned> + Serialize + DeserializeOwned,
{
    let histogram = || Histogram::new(Bins::uniform(7, -1.0..=100.0)).unwrap();
    let new = || {
        let moments = (Moments::<2>::new(), Moments::<4>::new_skipnan());
        (moments.0, moments.1, Sum::new(), MinMax::new(), ArgMinMax::new(), histogram())
    };
    let mut all = new();
    round_trips(&all);
    all.push_slice(&elements[..1]);
    round_trips(&all);
    elements.chunks(100).for_each(|some| all.push_slice(some));
    round_trips(&all);
    let mut single = new();
    elements.iter().for_each(|element| single.push(element));
    round_trips(&single);
    all.merge(single);
    round_trips(&all);

    let mut weighted = WeightedMoments::new_skipnan();
    round_trips(&weighted);
    weighted.push_slice(&elements.iter().map(|&x| (x, 0.1_f32)).collect::<Vec<_>>());
    round_trips(&weighted);
}

#[test]
fn accumulators_round_trip_bit_for_bit() {
    let mut noise = noise(11);
    let floats: Vec<f64> =
        (0..1_000).map(|_| (noise() - 0.3) * 10_f64.powi((noise() * 60.0) as i32 - 30)).collect();
    all_round_trip(&floats);
    all_round_trip(&floats.iter().map(|&x| x as f32).collect::<Vec<_>>());
    all_round_trip(&[-0.0, 0.0, f64::MIN_POSITIVE, f64::from_bits(1), 1e50]);
    all_round_trip(&[-0.0_f32, f32::MIN_POSITIVE, f32::from_bits(1), 0.1, 3e30]);
    all_round_trip(&floats.iter().map(|&x| x.to_bits() as u8).collect::<Vec<_>>());
    all_round_trip(&floats.iter().map(|&x| x.to_bits() as i64).collect::<Vec<_>>());
}

#[test]
fn sums_beyond_64_bits_round_trip() {
    all_round_trip(&[i64::MAX; 1_000]);
    all_round_trip(&[i64::MIN; 1_000]);
    all_round_trip(&[u64::MAX; 1_000]);
    let mut sum = Sum::<u64>::new();
    sum.push_slice(&[u64::MAX; 3]);
    let json = serde_json::to_string(&sum).unwrap();
    assert!(json.contains("55340232221128654845"), "{json}");
    let read: Sum<u64> = serde_json::from_str(&json).unwrap();
    assert_eq!(read.sum(), 3 * i128::from(u64::MAX));
}

#[test]
fn deserialized_accumulators_accept_elements() {
    let (first, second) = ([1.5_f32, 2.5, -7.0], [0.1_f32, f32::NAN, 1e9]);
    let mut whole = (Moments::<4>::new_skipnan(), Sum::new_skipnan(), MinMax::new());
    whole.push_slice(&first);
    let mut read: (Moments<4>, Sum<f32>, MinMax<f32>) =
        serde_json::from_str(&serde_json::to_string(&whole).unwrap()).unwrap();
    // That NaNs are left out is saved as well.
    read.push_slice(&second);
    whole.push_slice(&second);
    assert_eq!(read, whole);
    assert_eq!((read.0.count(), read.1.count(), read.2.nan_count()), (5, 5, 1));
}

#[test]
fn moments_of_another_order_are_refused() {
    let (two, four) = (Moments::<2>::new(), Moments::<4>::new());
    is_refused::<Moments<4>>(
        &serde_json::to_string(&two).unwrap(),
        "expected moments of order 4, found order 2",
    );
    is_refused::<Moments<2>>(
        &serde_json::to_string(&four).unwrap(),
        "expected moments of order 2, found order 4",
    );
}

/// The largest counts that can be read, merged until no larger ones can be counted.
#[test]
fn deserialized_counts_saturate() {
    let most = 1_u64 << 53;
    let json = format!(
        r#"{{"edges":[0.0,1.0],"underflow":0,"counts":[{most}],"overflow":{most},"nan_count":1}}"#
    );
    let mut histogram: Histogram = serde_json::from_str(&json).unwrap();
    let mut table = vec![0; 16];
    table[5] = most;
    let json = serde_json::json!({ "edges": [[0.0, 1.0], [0.0, 1.0]], "table": table });
    let mut fields: Histogram2d = serde_json::from_value(json).unwrap();
    for _ in 0..11 {
        histogram.try_merge(histogram.clone()).unwrap();
        fields.try_merge(fields.clone()).unwrap();
    }
    histogram.push_slice(&[0.5; 100]);
    histogram.push(&2.0);
    fields.push_slice(&[(0.5, 0.5), (2.0, 0.5)]);
    let largest = u64::MAX;
    assert_eq!(
        (histogram.counts(), histogram.overflow(), histogram.nan_count()),
        (&[largest][..], largest, 1 << 11)
    );
    assert_eq!(histogram.density(), [1.0]);
    assert_eq!((fields.counts()[[0, 0]], fields.outside()), (largest, 1));
}

/// For reports; it cannot be merged, so there is no reading it.
#[test]
fn summary_is_serialized_by_field() {
    let summary = ndarray::array![1_u8, 3].chunked().summary().unwrap();
    let json = r#"{"count":2,"nan_count":0,"min":1,"max":3,"mean":2.0,"var":1.0,"std":1.0,"skewness":0.0,"kurtosis":1.0}"#;
    assert_eq!(serde_json::to_string(&summary).unwrap(), json);
}

#[test]
fn invalid_histograms_are_refused() {
    let json = |edges: &str, counts: &str| {
        format!(r#"{{"edges":{edges},"underflow":1,"counts":{counts},"overflow":2,"nan_count":3}}"#)
    };
    let histogram: Histogram = serde_json::from_str(&json("[0.0,1.0,2.5]", "[4,5]")).unwrap();
    assert_eq!(
        (histogram.underflow(), histogram.counts(), histogram.overflow()),
        (1, &[4, 5][..], 2)
    );
    is_refused::<Histogram>(&json("[0.0,1.0,2.0]", "[4]"), "3 edges do not match 1 bins");
    is_refused::<Histogram>(&json("[0.0,1.0]", "[4,5]"), "2 edges do not match 2 bins");
    is_refused::<Histogram>(&json("[]", "[]"), "0 edges do not match 0 bins");
    is_refused::<Histogram>(&json("[0.0]", "[]"), "at least two edges are required, got 1");
    is_refused::<Histogram>(&json("[1.0,0.0]", "[4]"), "edges must ascend");
    is_refused::<Histogram>(&json("[0.0,null]", "[4]"), "null");
    is_refused::<Histogram>(&json("[0.0,1.0]", "[-4]"), "-4");
}

#[test]
fn automatic_bins_round_trip() {
    let values: Vec<f64> = (0..10_000).map(|i| f64::from(i % 977) / 9.7).collect();
    let mut histogram = Histogram::new(Bins::uniform(10, 0.0..=100.0)).unwrap();
    histogram.push_slice(&values);
    let mut read: Histogram =
        serde_json::from_str(&serde_json::to_string(&histogram).unwrap()).unwrap();
    read.push_slice(&values);
    histogram.push_slice(&values);
    assert_eq!(read, histogram);
}

/// JSON writes `null` for what is no number, which is no float when it is read: an error, not another value.
#[test]
fn json_has_no_nan() {
    let mut moments = Moments::<2>::new();
    moments.push_slice(&[1.0, f64::NAN]);
    is_refused::<Moments<2>>(&serde_json::to_string(&moments).unwrap(), "null");
    let mut extremes = MinMax::new();
    extremes.push_slice(&[1.0, f64::INFINITY]);
    is_refused::<MinMax<f64>>(&serde_json::to_string(&extremes).unwrap(), "null");
}

#[test]
fn histogram2d_round_trips() {
    let mut histogram =
        Histogram2d::new(Bins::uniform(3, 0.0..=3.0), Bins::edges([0.0, 1.0, 7.0])).unwrap();
    histogram.push_slice(&[(0.5, 0.5), (2.5, 8.0), (f64::NAN, 1.0), (2.9, 6.9)]);
    round_trips(&histogram);
    let json = serde_json::to_string(&histogram).unwrap();
    is_refused::<Histogram2d>(
        &json.replace("[0.0,1.0,7.0]", "[0.0,1.0]"),
        "a table of 30 counts does not match its edges",
    );
    is_refused::<Histogram2d>(
        &json.replace("[0.0,1.0,7.0]", "[0.0]"),
        "at least two edges are required, got 1",
    );
    let mut twice: Histogram2d = serde_json::from_str(&json).unwrap();
    twice.try_merge(histogram.clone()).unwrap();
    assert_eq!(twice.counts(), histogram.counts() * 2);
}

/// Or a later sum would overflow, and a place lie outside.
#[test]
fn impossible_states_are_refused() {
    let count = "9007199254740993";
    let why = "count 9007199254740993 exceeds 2^53";
    let moments = serde_json::to_string(&Moments::<2>::new()).unwrap();
    is_refused::<Moments<2>>(&moments.replace(r#""count":0"#, &format!(r#""count":{count}"#)), why);
    is_refused::<Sum<f64>>(&format!(r#"{{"skip_nan":false,"count":{count},"sum":0.0}}"#), why);
    is_refused::<MinMax<u8>>(&format!(r#"{{"range":[1,2],"count":{count},"nan_count":0}}"#), why);
    is_refused::<ArgMinMax<u8>>(
        &format!(r#"{{"count":{count},"nan_count":0,"min":[1,0],"max":[2,1]}}"#),
        why,
    );
    is_refused::<Histogram>(
        &format!(
            r#"{{"edges":[0.0,1.0],"underflow":0,"counts":[{count}],"overflow":0,"nan_count":0}}"#
        ),
        why,
    );
    let weighted = serde_json::to_string(&WeightedMoments::new()).unwrap();
    is_refused::<WeightedMoments>(
        &weighted.replace(r#""count":0"#, &format!(r#""count":{count}"#)),
        why,
    );

    // A mean, a sum of squares, and elements that are none.
    let zero = r#"{"hi":0.0,"lo":0.0}"#;
    let (mean, squares) = (format!("[{zero},"), format!(",{zero}]"));
    for json in [&moments, &weighted] {
        for changed in [
            json.replace(&mean, r#"[{"hi":1e9,"lo":0.0},"#),
            json.replace(&squares, r#",{"hi":1e300,"lo":0.0}]"#),
        ] {
            assert_ne!(&changed, json);
            match json == &moments {
                true => {
                    is_refused::<Moments<2>>(&changed, "moments of an empty input must be zero")
                }
                false => is_refused::<WeightedMoments>(
                    &changed,
                    "moments of an empty input must be zero",
                ),
            }
        }
    }
    is_refused::<Moments<2>>(
        &moments.replace(r#""count":0"#, r#""count":3"#),
        "do not match a count of 3 elements",
    );
    is_refused::<Moments<2>>(
        &moments.replace(r#""units":[0,0]"#, r#""units":[5000,0]"#),
        "invalid unit: 2^5000",
    );
    is_refused::<Moments<2>>(
        &moments.replace(r#""row":0"#, r#""row":60000"#),
        "invalid row number: 60000",
    );

    let sum = |sum: &str| format!(r#"{{"skip_nan":false,"count":2,"sum":{sum}}}"#);
    assert_eq!(serde_json::from_str::<Sum<u8>>(&sum("510")).unwrap().sum(), 510);
    is_refused::<Sum<u8>>(&sum("511"), "impossible sum of 2 elements: 511");
    is_refused::<Sum<u8>>(&sum("-1"), "impossible sum of 2 elements: -1");
    is_refused::<Sum<u8>>(
        r#"{"skip_nan":false,"count":0,"sum":1}"#,
        "impossible sum of 0 elements: 1",
    );

    let extremes =
        |range: &str, nans: u64| format!(r#"{{"range":{range},"count":3,"nan_count":{nans}}}"#);
    assert_eq!(
        serde_json::from_str::<MinMax<f64>>(&extremes("[1.0,1.0]", 2)).unwrap().range(),
        Some((1.0, 1.0))
    );
    for wrong in [
        extremes("[2.0,1.0]", 0),
        extremes("[1.0,2.0]", 3),
        extremes("null", 0),
        extremes("null", 4),
    ] {
        is_refused::<MinMax<f64>>(&wrong, "impossible range of 3 elements");
    }
    is_refused::<MinMax<u8>>(
        r#"{"range":[1,2],"count":3,"nan_count":1}"#,
        "impossible range of 3 elements",
    );
    // Together they are too many.
    let half = 1_u64 << 52;
    is_refused::<Histogram>(
        &format!(
            r#"{{"edges":[0.0,1.0,2.0,3.0],"underflow":0,"counts":[{half},{half},1],"overflow":0,"nan_count":0}}"#
        ),
        why,
    );
    let places = |min: &str, max: &str, nans: u64| {
        format!(r#"{{"count":3,"nan_count":{nans},"min":{min},"max":{max}}}"#)
    };
    let read: ArgMinMax<f64> = serde_json::from_str(&places("[1.0,0]", "[4.0,2]", 1)).unwrap();
    assert_eq!(read.max(), Some((4.0, 2)));
    for wrong in [
        places("[1.0,0]", "[4.0,3]", 0),
        places("[4.0,0]", "[1.0,2]", 0),
        places("[1.0,0]", "null", 0),
        places("[1.0,0]", "[1.0,0]", 3),
        places("null", "null", 2),
    ] {
        is_refused::<ArgMinMax<f64>>(&wrong, "impossible extrema of 3 elements");
    }
}
