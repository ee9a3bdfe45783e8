//! What a process of the lab does, as its arguments say.

use std::{
    ffi::{OsStr, OsString},
    io,
    net::SocketAddr,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    process::{Command, ExitCode},
};

use nix::{
    sys::{
        prctl::set_pdeathsig,
        signal::{SigSet, Signal},
    },
    unistd::getppid,
};

use super::{MARK, OWN_BINARY, complain, http, story};

/// The variable that names the lab's process to the others.
const LAB_ID: &str = "STONECHAT_DEMO_LAB";

/// One of the lab's processes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Role {
    /// Builds everything, tells the story, removes everything.
    Lab {
        /// Stay until Ctrl-C.
        keep: bool,
    },
    /// Keeps a namespace open for `nsenter`; its name is for those who read a list of processes.
    Hold(&'static str),
    /// Answers health checks with 200.
    Serve(SocketAddr),
    /// Becomes `stonechat` with these arguments.
    Speak(Vec<OsString>),
}

impl Role {
    /// Reads what [`Role::arguments`] wrote, without the mark.
    pub(super) fn parse(arguments: &[OsString]) -> Option<Self> {
        let (verb, rest) = arguments.split_first()?;
        match (verb.as_bytes(), rest) {
            (b"lab", []) => Some(Self::Lab { keep: false }),
            (b"lab", [keep]) if keep == "--keep" => Some(Self::Lab { keep: true }),
            (b"hold", [_]) => Some(Self::Hold("")),
            (b"serve", [address]) => Some(Self::Serve(address.to_str()?.parse().ok()?)),
            (b"speak", arguments) => Some(Self::Speak(arguments.to_vec())),
            _ => None,
        }
    }

    /// The arguments of a process that plays this role.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut words = vec![OsString::from(MARK)];
        match self {
            Self::Lab { keep: false } => words.push("lab".into()),
            Self::Lab { keep: true } => words.extend(["lab".into(), "--keep".into()]),
            Self::Hold(name) => words.extend(["hold".into(), name.into()]),
            Self::Serve(address) => words.extend(["serve".into(), address.to_string().into()]),
            Self::Speak(arguments) => {
                words.push("speak".into());
                words.extend_from_slice(arguments);
            }
        }
        words
    }

    /// A command that starts a process of this role, in a process group of its own: Ctrl-C is for the lab alone,
    /// which then ends the others in order.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new(OWN_BINARY);
        command
            .arg0("stonechat")
            .args(self.arguments())
            .env(LAB_ID, std::process::id().to_string());
        command.process_group(0);
        command
    }

    /// Plays it to its end.
    pub(super) fn play(self) -> ExitCode {
        match self {
            Self::Lab { keep } => story::tell(keep),
            Self::Hold(_) => part(hold),
            Self::Serve(address) => part(|| http::serve(address)),
            Self::Speak(arguments) => part(|| Err(speak(&arguments))),
        }
    }
}

/// Runs a part that may not outlive the lab.
fn part(play: impl FnOnce() -> io::Result<()>) -> ExitCode {
    match die_with_the_lab()
        .and_then(|()| hear_signals())
        .and_then(|()| play())
    {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error.to_string()),
    }
}

/// Asks the kernel to end this process when the lab's ends, even if that is killed.
fn die_with_the_lab() -> io::Result<()> {
    set_pdeathsig(Signal::SIGKILL)?;
    // Another parent has adopted this process: the lab was gone before the kernel knew what to do.
    let lab = std::env::var(LAB_ID).ok().and_then(|id| id.parse().ok());
    if lab == Some(getppid().as_raw()) {
        Ok(())
    } else {
        Err(io::Error::other("the lab has ended"))
    }
}

/// The lab reads its signals from a descriptor and blocks them; the others, who inherit that, take them as they come.
fn hear_signals() -> io::Result<()> {
    Ok(SigSet::empty().thread_set_mask()?)
}

/// Waits until the lab closes the pipe that is this process's standard input.
fn hold() -> io::Result<()> {
    io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop)
}

/// Becomes the daemon, which inherits the namespace and the wish to die with the lab.
fn speak(arguments: &[OsString]) -> io::Error {
    Command::new(OWN_BINARY)
        .arg0(OsStr::new("stonechat"))
        .args(arguments)
        .exec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_survives_its_arguments() {
        let roles = [
            Role::Lab { keep: false },
            Role::Lab { keep: true },
            Role::Hold(""),
            Role::Serve("127.0.0.1:8080".parse().unwrap()),
            Role::Speak(vec!["run".into(), "--config".into(), "node.toml".into()]),
        ];
        for role in roles {
            let arguments = role.arguments();
            assert_eq!(arguments[0], MARK);
            assert_eq!(Role::parse(&arguments[1..]), Some(role));
        }
    }

    #[test]
    fn other_words_are_no_role() {
        assert_eq!(Role::parse(&[]), None);
        assert_eq!(Role::parse(&["serve".into(), "nowhere".into()]), None);
        assert_eq!(Role::parse(&["lab".into(), "--kept".into()]), None);
    }
}
