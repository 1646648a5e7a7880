//! Progress of the long steps, for people who watch.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for so many readings on standard error, or none where that is no terminal. It is gone when the step is done.
pub(crate) fn bar(step: &'static str, readings: usize) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{msg:>10} [{wide_bar}] {human_pos} of {human_len} readings {eta:>4}",
    );
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ");
    ProgressBar::new(readings as u64).with_style(style).with_message(step)
}
