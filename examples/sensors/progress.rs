//! Progress bars of the long steps.
#![forbid(unsafe_code)]

use std::io::{IsTerminal, stderr};

use indicatif::{ProgressBar, ProgressStyle};

/// Returns a progress bar on standard error, hidden if that is not a terminal.
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
