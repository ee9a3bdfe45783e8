//! Where HTTP is served: begun, moved and ended as the configuration says.

use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::control::{self, Question};

/// The task that serves HTTP, if there is one.
#[derive(Debug)]
pub(super) struct Http {
    questions: mpsc::Sender<Question>,
    serving: Option<(SocketAddr, JoinHandle<()>)>,
}

impl Http {
    /// Serves nowhere yet.
    pub(super) const fn new(questions: mpsc::Sender<Question>) -> Self {
        Self {
            questions,
            serving: None,
        }
    }

    /// Serves there, and no longer elsewhere; connections that are open there end with it.
    pub(super) fn serve(&mut self, address: Option<SocketAddr>) {
        if self.serving.as_ref().map(|(at, _)| *at) == address {
            return;
        }
        if let Some((at, task)) = self.serving.take() {
            tracing::info!(address = %at, "http ends here");
            task.abort();
        }
        self.serving = address.map(|address| {
            let task = tokio::spawn(control::serve_http(address, self.questions.clone()));
            (address, task)
        });
    }
}
