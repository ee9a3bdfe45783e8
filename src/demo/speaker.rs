//! One Stonechat of the lab: its process, and what it says when asked.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use super::{
    Error, OWN_BINARY,
    lab::{Directory, Machine},
    namespace::Home,
    role::Role,
};

/// This many lines of a log are shown when its speaker has ended.
const LAST_WORDS: usize = 15;

/// A running daemon.
pub(super) struct Speaker {
    /// Whose.
    pub(super) name: &'static str,
    /// Where it answers.
    pub(super) socket: PathBuf,
    /// What it was told.
    pub(super) config: PathBuf,
    log: PathBuf,
    child: Child,
}

impl Speaker {
    /// Writes the configuration and starts `stonechat run` in the machine's namespace.
    ///
    /// # Errors
    /// When a file cannot be written or the process cannot be started.
    pub(super) fn start(
        home: &Home,
        machine: &Machine,
        directory: &Directory,
        config: &str,
    ) -> Result<Self, Error> {
        let name = machine.namespace.name;
        let config = directory.write(&format!("{name}.toml"), config)?;
        let socket = directory.path().join(format!("{name}.sock"));
        let log = directory.path().join(format!("{name}.log"));
        let failed = |source| Error::Io {
            what: format!("start the speaker of {name}"),
            source,
        };
        let output = File::create(&log).map_err(failed)?;
        let arguments = [
            "run".into(),
            "--config".into(),
            config.clone().into(),
            "--socket".into(),
            socket.clone().into(),
        ];
        let mut command = Role::Speak(arguments.to_vec()).command();
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output);
        // Where the sample configurations look, instead of the paths of a machine that they have for themselves.
        command.env(
            "STONECHAT_STATE_DIR",
            directory.path().join(format!("{name}.state")),
        );
        let child = home
            .within(&machine.namespace, || command.spawn())?
            .map_err(failed)?;
        Ok(Self {
            name,
            socket,
            config,
            log,
            child,
        })
    }

    /// What `stonechat` prints with these arguments; the complaint when it fails.
    ///
    /// # Errors
    /// When the daemon has ended or no process can be started.
    pub(super) fn ask(&mut self, arguments: &[&str]) -> Result<Result<String, String>, Error> {
        self.check()?;
        let output = Command::new(OWN_BINARY)
            .args(arguments)
            .arg("--socket")
            .arg(&self.socket)
            .stdin(Stdio::null())
            .output()
            .map_err(|source| Error::Io {
                what: format!("ask the speaker of {}", self.name),
                source,
            })?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        })
    }

    /// The same with `--json`, read.
    ///
    /// # Errors
    /// As [`Speaker::ask`].
    pub(super) fn ask_json(&mut self, arguments: &[&str]) -> Result<Result<Value, String>, Error> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let answer = self.ask(&arguments)?;
        Ok(answer.and_then(|text| serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))))
    }

    /// Sends the daemon a signal.
    ///
    /// # Errors
    /// When it has ended.
    pub(super) fn signal(&mut self, signal: Signal) -> Result<(), Error> {
        self.check()?;
        let failed = |source| Error::Io {
            what: format!("signal the speaker of {}", self.name),
            source,
        };
        let id = i32::try_from(self.child.id()).map_err(|error| failed(std::io::Error::other(error)))?;
        kill(Pid::from_raw(id), signal).map_err(|errno| failed(errno.into()))
    }

    /// Whether it has ended, and how.
    ///
    /// # Errors
    /// When the kernel does not say.
    pub(super) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>, Error> {
        self.child.try_wait().map_err(|source| Error::Io {
            what: format!("look after the speaker of {}", self.name),
            source,
        })
    }

    /// Fails if it has ended.
    ///
    /// # Errors
    /// [`Error::SpeakerEnded`] then.
    pub(super) fn check(&mut self) -> Result<(), Error> {
        match self.ended()? {
            None => Ok(()),
            Some(status) => Err(Error::SpeakerEnded {
                name: self.name,
                status,
                log: self.last_words(),
            }),
        }
    }

    /// The end of its log.
    pub(super) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines
            .get(lines.len().saturating_sub(LAST_WORDS)..)
            .unwrap_or_default()
            .join("\n")
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
