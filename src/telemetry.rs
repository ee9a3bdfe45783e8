//! Logs, and what systemd is told. Knows nothing of the speaker.
//!
//! Logs go to standard error, as text or one JSON object a line; level and format change while running.
//! Without a service manager (`NOTIFY_SOCKET` absent) telling it anything does nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use tracing_subscriber::filter::{LevelFilter, dynamic_filter_fn};
use tracing_subscriber::layer::{Filter, SubscriberExt as _};
use tracing_subscriber::util::{SubscriberInitExt as _, TryInitError};
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt, reload};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// Why logging cannot be set up as asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The level is neither a word nor a filter expression.
    #[error(
        "log level {level:?} is neither one of error, warn, info, debug, trace nor a filter like `info,stonechat::session=debug`"
    )]
    Level {
        /// As given.
        level: String,
    },
    /// Something else in this process logs already.
    #[error("logging is set up already: {0}")]
    Twice(#[from] TryInitError),
    /// The subscriber has gone.
    #[error("the log level cannot be changed: {0}")]
    Gone(#[from] reload::Error),
}

/// The logs of this process.
#[derive(Debug)]
pub struct Telemetry {
    level: reload::Handle<EnvFilter, Registry>,
    json: Arc<AtomicBool>,
}

/// Starts logging to standard error; once per process.
///
/// # Errors
/// [`Error::Level`] when the level means nothing; [`Error::Twice`] when logging was set up before.
pub fn init(level: &str, format: Format) -> Result<Telemetry, Error> {
    let (filter, level) = reload::Layer::new(parse_level(level)?);
    let json = Arc::new(AtomicBool::new(format == Format::Json));
    let text = fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let objects = fmt::layer().with_writer(std::io::stderr).json();
    // Both see every span, because each writes down its fields in a form of its own; only one sees events.
    tracing_subscriber::registry()
        .with(filter)
        .with(text.with_filter(only(&json, false)))
        .with(objects.with_filter(only(&json, true)))
        .try_init()?;
    Ok(Telemetry { level, json })
}

/// Events while the format is JSON, or while it is not; and every span.
fn only<S>(json: &Arc<AtomicBool>, wanted: bool) -> impl Filter<S> + use<S> {
    let json = Arc::clone(json);
    dynamic_filter_fn(move |metadata, _| metadata.is_span() || json.load(Ordering::Relaxed) == wanted)
}

impl Telemetry {
    /// Changes what is logged, at once.
    ///
    /// # Errors
    /// [`Error::Level`] when the level means nothing; the old one stays.
    pub fn set_level(&self, level: &str) -> Result<(), Error> {
        Ok(self.level.reload(parse_level(level)?)?)
    }

    /// Changes how lines look, from the next one on.
    pub fn set_format(&self, format: Format) {
        self.json.store(format == Format::Json, Ordering::Relaxed);
    }
}

/// Checks a level without using it.
///
/// # Errors
/// [`Error::Level`] when the level means nothing.
pub fn check_level(level: &str) -> Result<(), Error> {
    parse_level(level).map(drop)
}

fn parse_level(level: &str) -> Result<EnvFilter, Error> {
    let wrong = || Error::Level {
        level: String::from(level),
    };
    // A filter expression takes any other word as a module's name, so that a misspelt level would silence everything.
    let has_bare_word = level
        .split(',')
        .any(|part| part.is_empty() || (!part.contains('=') && part.trim().parse::<LevelFilter>().is_err()));
    if has_bare_word {
        return Err(wrong());
    }
    EnvFilter::builder().parse(level).map_err(|_| wrong())
}

/// What a service manager may be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Service<'a> {
    /// Start has finished, or a reload has.
    Ready,
    /// A reload begins; [`Service::Ready`] ends it.
    Reloading,
    /// The process is about to end.
    Stopping,
    /// One line for `systemctl status`.
    Status(&'a str),
    /// Still alive; see [`watchdog`].
    Alive,
}

/// Tells the service manager, where there is one; a failure is logged and changes nothing.
pub fn tell(news: Service<'_>) {
    let states = match news {
        Service::Ready => vec![NotifyState::Ready],
        Service::Stopping => vec![NotifyState::Stopping],
        Service::Status(text) => vec![NotifyState::Status(text)],
        Service::Alive => vec![NotifyState::Watchdog],
        // `Type=notify-reload` pairs the reload with its signal by this time.
        Service::Reloading => {
            let mut states = vec![NotifyState::Reloading];
            states.extend(NotifyState::monotonic_usec_now().ok());
            states
        }
    };
    if let Err(error) = sd_notify::notify(&states) {
        tracing::warn!(%error, "cannot notify the service manager");
    }
}

/// How often [`Service::Alive`] must be told: half of `WatchdogSec`; none when the service manager does not ask.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|period| period / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_filters_are_understood() {
        for level in [
            "error",
            "warn",
            "info",
            "debug",
            "trace",
            "off",
            "info,stonechat::session=debug",
            "stonechat=trace",
        ] {
            assert!(check_level(level).is_ok(), "{level}");
        }
    }

    #[test]
    fn a_misspelt_level_is_an_error_and_not_a_module() {
        for level in ["inof", "", "info,debgu", "stonechat=loud", "a=b=c"] {
            let error = check_level(level).expect_err(level);
            assert!(error.to_string().contains(&format!("{level:?}")), "{error}");
        }
    }

    #[test]
    fn the_level_changes_while_running() {
        let telemetry = init("warn", Format::Text).expect("nothing else in this test logs");
        assert!(!tracing::enabled!(tracing::Level::INFO));
        telemetry.set_level("debug").expect("a level");
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        telemetry.set_level("loud").expect_err("no level");
        assert!(tracing::enabled!(tracing::Level::DEBUG));
        telemetry.set_level("off").expect("a level");
        assert!(matches!(init("info", Format::Json), Err(Error::Twice(_))));
    }
}
