//! What processes have used: CPU time and memory, from `/proc`.

use std::fs;

use nix::unistd::Pid;

/// CPU seconds of processes and all their threads. The scheduler's own count is exact where `stat` has ticks of 10 ms.
pub fn cpu_seconds(pids: &[Pid]) -> f64 {
    pids.iter().map(|pid| cpu_of(&format!("/proc/{pid}"))).sum()
}

/// Seconds that the main threads of processes, or the calling thread, were ready to run while others had the cores.
///
/// On a busy machine this is what wall time is too long by.
pub fn queued_seconds(pids: &[Pid]) -> f64 {
    let of = |pid: &Pid| scheduled(&format!("/proc/{pid}/schedstat"), 1).unwrap_or(0.0);
    pids.iter().map(of).sum::<f64>() + scheduled("/proc/thread-self/schedstat", 1).unwrap_or(0.0)
}

/// CPU seconds of the calling thread.
pub fn own_cpu_seconds() -> f64 {
    run_time("/proc/thread-self/schedstat").unwrap_or(0.0)
}

/// CPU seconds of a thread of this process.
pub fn thread_cpu_seconds(tid: Pid) -> f64 {
    run_time(&format!("/proc/self/task/{tid}/schedstat")).unwrap_or(0.0)
}

fn cpu_of(process: &str) -> f64 {
    let threads = fs::read_dir(format!("{process}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let exact: Option<f64> = threads
        .map(|thread| run_time(&format!("{}/schedstat", thread.path().display())))
        .sum();
    // Threads that have ended are only in the process's own count.
    exact.unwrap_or(0.0).max(ticks(process).unwrap_or(0.0) - 0.02)
}

fn run_time(file: &str) -> Option<f64> {
    scheduled(file, 0)
}

/// One of the scheduler's figures, in seconds: time on a core, time waiting for one.
fn scheduled(file: &str, which: usize) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    let nanoseconds: f64 = text.split_whitespace().nth(which)?.parse().ok()?;
    Some(nanoseconds / 1e9)
}

/// utime and stime.
fn ticks(process: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("{process}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    let fields: Vec<f64> = rest
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse().ok())
        .collect();
    Some(fields.iter().sum::<f64>() / 100.0)
}

/// Peak and present resident memory of processes, in MiB.
pub fn memory_mib(pids: &[Pid]) -> (f64, f64) {
    let of = |pid: &Pid, field: &str| {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .unwrap_or("0");
        line.split_whitespace()
            .next()
            .and_then(|kib| kib.parse::<f64>().ok())
            .unwrap_or(0.0)
            / 1024.0
    };
    let sum = |field| pids.iter().map(|pid| of(pid, field)).sum();
    (sum("VmHWM:"), sum("VmRSS:"))
}
