//! A child process that runs one test of this binary.

use std::io::{BufRead, BufReader, Lines, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// What a child may take before it is killed.
const LIMIT: Duration = Duration::from_secs(120);

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Code(i32),
    Signal(i32),
}

impl End {
    pub(super) const SUCCESS: Self = Self::Code(0);
    pub(super) const BUS_ERROR: Self = Self::Signal(Signal::BUS.as_raw());
    pub(super) const KILLED: Self = Self::Signal(Signal::KILL.as_raw());
}

/// A process that runs one ignored test of this binary, which [talks](talk) to it.
pub(super) struct Child {
    process: std::process::Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    /// Whether the framework knew the test.
    ran: bool,
    /// Dropped when the process has ended: the watchdog ends too.
    watched: Option<Sender<()>>,
    watchdog: Option<JoinHandle<()>>,
}

impl Child {
    pub(super) fn start(test: &str, task: &[&str]) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--include-ignored", "--nocapture", "--test-threads=1"])
            .env("NDARRAY_MMAP_TASK", task.join("\n"))
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (watched, finished) = channel();
        let pid = Pid::from_child(&process);
        let watchdog = std::thread::spawn(move || {
            if finished.recv_timeout(LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                kill_process(pid, Signal::ABORT).unwrap();
            }
        });
        let output = BufReader::new(output).lines();
        Self {
            process,
            input,
            output,
            ran: false,
            watched: Some(watched),
            watchdog: Some(watchdog),
        }
    }

    /// Says a line to the child; it may be gone.
    pub(super) fn tell(&mut self, line: &str) {
        let _ = writeln!(self.input, "{line}");
    }

    /// The next line that the child says; `None` when it has ended.
    pub(super) fn hear(&mut self) -> Option<String> {
        // The test framework says lines of its own.
        self.output.by_ref().map_while(Result::ok).find_map(|line| {
            self.ran |= line == "running 1 test";
            line.strip_prefix("> ").map(str::to_owned)
        })
    }

    pub(super) fn kill(&self) {
        kill_process(Pid::from_child(&self.process), Signal::KILL).unwrap();
    }

    /// Waits for the end. What the child has said until then and nobody has heard is returned.
    pub(super) fn end(mut self) -> (End, Vec<String>) {
        let mut rest = Vec::new();
        rest.extend(std::iter::from_fn(|| self.hear()));
        let status = self.process.wait().unwrap();
        self.watched = None;
        self.watchdog.take().unwrap().join().unwrap();
        let end = match status.code() {
            Some(code) => End::Code(code),
            None => End::Signal(status.signal().unwrap()),
        };
        assert!(self.ran || end != End::SUCCESS, "there is no such test");
        (end, rest)
    }
}

/// Is this a process of its own? If not, one is made for this test, which a signal may end without harm to others; and must not.
pub(super) fn is_alone(test: &str) -> bool {
    let is_child = std::env::var_os("NDARRAY_MMAP_TASK").is_some();
    if !is_child {
        assert_eq!(Child::start(test, &[]).end().0, End::SUCCESS);
    }
    is_child
}

/// What the child is to do.
pub(super) fn task() -> Vec<String> {
    let task = std::env::var("NDARRAY_MMAP_TASK").expect("set by the parent");
    task.split('\n').map(str::to_owned).collect()
}

/// Says a line to the parent.
pub(super) fn say(line: &str) {
    // In one call, on a line of its own.
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n> {line}\n").as_bytes()).and_then(|()| out.flush()).unwrap();
}

/// The next line from the parent; `None` when it has no more.
pub(super) fn listen() -> Option<String> {
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).unwrap();
    (read > 0).then(|| line.trim_end().to_owned())
}
