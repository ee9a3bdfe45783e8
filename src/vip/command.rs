//! Commands, of checks and of hooks: run without privileges, in a process group of its own that does not outlive its timeout.
//!
//! As root the command runs as `nobody` without supplementary groups, and so loses every capability; this needs
//! CAP_SETUID and CAP_SETGID, and CAP_KILL to end it. As another user it runs as that user, without capabilities. Its environment is a plain PATH and the VIP's name and address.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use caps::CapSet;
use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

use super::health::{self, ProbeError};
use super::settings::Vip;

/// `nobody` and `nogroup`, the same on every distribution that follows the LSB.
const NOBODY: u32 = 65_534;

/// Octets kept of what a command prints; the rest is read and dropped.
const OUTPUT_LIMIT: usize = 4_096;

/// How long output is awaited from a command that has ended, in case something it started holds the pipes.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// Characters of it that are shown.
const TEXT_LIMIT: usize = 160;

/// Runs the command with `further` in its environment; exit code 0 passes. At the timeout its whole process group is killed.
pub(super) async fn run(
    vip: &Vip,
    words: &[String],
    further: &[(&str, String)],
    timeout: Duration,
) -> Result<String, ProbeError> {
    let (mut child, group) = spawn(vip, words, further)?;
    let ended = tokio::time::timeout(timeout, finish(&mut child)).await;
    drop(group);
    let (status, output) = ended.map_err(|_| ProbeError::Timeout {
        awaited: health::ANSWER,
        timeout,
    })?;
    let status = status.map_err(|error| ProbeError::Spawn {
        program: program(words),
        error,
    })?;
    let output = one_line(&output);
    if status.success() {
        return Ok(if output.is_empty() {
            String::from("exit status: 0")
        } else {
            output
        });
    }
    let separator = if output.is_empty() { "" } else { ": " };
    Err(ProbeError::Exit {
        status,
        output: format!("{separator}{output}"),
    })
}

fn spawn(vip: &Vip, words: &[String], further: &[(&str, String)]) -> Result<(Child, Group), ProbeError> {
    let (program, arguments) = words
        .split_first()
        .map_or(("", words), |(first, rest)| (first.as_str(), rest));
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("STONECHAT_VIP", &*vip.name)
        .env("STONECHAT_ADDRESS", vip.address.to_string())
        .envs(further.iter().map(|(name, value)| (name, value)))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    if nix::unistd::geteuid().is_root() {
        // The standard library clears the supplementary groups of root before it sets the user.
        command.gid(NOBODY).uid(NOBODY);
    } else {
        keep_capabilities_to_ourselves()?;
    }
    let child = command.spawn().map_err(|error| ProbeError::Spawn {
        program: String::from(program),
        error,
    })?;
    let group = Group(child.id());
    Ok((child, group))
}

/// A daemon that runs as a user of its own has its capabilities from the ambient set (systemd's `AmbientCapabilities`),
/// and whatever it starts would have them too. Only this thread's set is cleared, and only starting programs uses it.
pub(super) fn keep_capabilities_to_ourselves() -> Result<(), ProbeError> {
    caps::clear(None, CapSet::Ambient).map_err(|error| ProbeError::Privileges(error.to_string()))
}

/// Waits for the command and keeps what it printed; what a grandchild prints later is of no interest.
async fn finish(child: &mut Child) -> (std::io::Result<ExitStatus>, Vec<u8>) {
    let (mut printed, mut complaints) = (Vec::new(), Vec::new());
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let status = {
        let reading = async { tokio::join!(keep(stdout, &mut printed), keep(stderr, &mut complaints)) };
        tokio::pin!(reading);
        let (status, read) = tokio::select! {
            status = child.wait() => (status, false),
            ((), ()) = &mut reading => (child.wait().await, true),
        };
        if !read && tokio::time::timeout(LAST_WORDS, reading).await.is_err() {
            tracing::debug!("a check left processes behind that hold its output");
        }
        status
    };
    printed.extend_from_slice(&complaints);
    (status, printed)
}

/// Reads until the end, keeping what fits.
async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0_u8; 1_024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let room = OUTPUT_LIMIT - kept.len();
        kept.extend(buffer.iter().take(count.min(room)));
    }
}

/// The first line with text in it, short and without control characters.
fn one_line(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let line = text.lines().map(str::trim).find(|line| !line.is_empty());
    let printable = line
        .unwrap_or_default()
        .chars()
        .filter(|character| !character.is_control());
    printable.take(TEXT_LIMIT).collect()
}

fn program(words: &[String]) -> String {
    words.first().cloned().unwrap_or_default()
}

/// Kills the process group when dropped: at the command's end whatever it left running, at the timeout all of it, and
/// the same when the VIP goes while its command runs.
///
/// The number is safe: it stays taken while the group has members or its leader has not been waited for.
struct Group(Option<u32>);

impl Drop for Group {
    fn drop(&mut self) {
        let Some(leader) = self.0.and_then(|id| i32::try_from(id).ok()) else {
            return;
        };
        match killpg(Pid::from_raw(leader), Signal::SIGKILL) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => tracing::warn!(%error, leader, "cannot kill a check's process group"),
        }
    }
}
