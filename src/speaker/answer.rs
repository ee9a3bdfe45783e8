//! Answers to questions from the command line and from monitoring.
//!
//! Reads handles of the rooms and asks the shard; nothing here waits for the speaker's main loop except what changes it
//! (reload, stop), which goes there as an [`Order`].

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::drain::{self, Wish};
use super::shutdown::Shutdowns;
use crate::control::announcers::{Identity, VipReport};
use crate::control::protocol::{Reset, RoutesRequest};
use crate::control::show::{DaemonStatus, PeerReport, WhyReport, no_such_peer};
use crate::control::{Failure, Question, Readiness, Request, Response, scrape};
use crate::drain::Target;
use crate::kernel::KernelHandle;
use crate::rib::explain::{Answer, Counters, Query};
use crate::rib::task::RibHandle;
use crate::route::{PeerId, Prefix};
use crate::session::handover::Handed;
use crate::session::listener::ListenerStatus;
use crate::session::peer::{Command, Reset as SessionReset};
use crate::session::status::{ROUTE_REFRESH, State, Status};
use crate::session::supervisor::Sessions;
use crate::{metrics, vip};

/// What only the main loop may do.
#[derive(Debug)]
pub(super) enum Order {
    /// Read the configuration again, or only plan it.
    Reload {
        /// Another file, only to plan.
        file: Option<PathBuf>,
        /// Apply nothing.
        dry_run: bool,
        /// Refuse a plan that resets a session.
        no_reset: bool,
        /// Go back after so long unless it is confirmed.
        confirm: Option<Duration>,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// What was applied for the time being stays.
    Confirm {
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// Make leaving targets the last choice, then withdraw them.
    Drain {
        /// Which, and how.
        wish: Wish,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// End drains.
    Undrain {
        /// Which.
        targets: Vec<Target>,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// End a peer's session and keep it down.
    Shutdown {
        /// Its name or address.
        name: String,
        /// What the peer is told, RFC 9003.
        text: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// Let a peer come up again.
    Enable {
        /// Its name or address.
        name: String,
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
    /// A successor takes over.
    Takeover {
        /// Where the listening sockets go.
        reply: oneshot::Sender<Vec<Handed>>,
    },
    /// Leave for good.
    Stop {
        /// Where the answer goes.
        reply: oneshot::Sender<Response>,
    },
}

/// VIPs of a listing whose paths are looked at; each costs the shard a question.
const MOST_STORIES: usize = 10_000;

/// Orders that may wait; whoever gives more waits.
pub(super) const ORDERS: usize = 8;

/// What is fixed while running.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) asn: u32,
    pub(super) router_id: Ipv4Addr,
    pub(super) config: PathBuf,
    pub(super) started: Instant,
}

impl Facts {
    const fn identity(&self) -> Identity {
        Identity {
            asn: self.asn,
            router_id: self.router_id,
        }
    }
}

/// What reloads did so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Reloads {
    pub(super) last: Option<String>,
    pub(super) applied: u64,
    pub(super) unchanged: u64,
    pub(super) refused: u64,
    pub(super) undone: u64,
}

/// Everything that is needed to answer.
#[derive(Clone)]
pub(super) struct Answerer {
    pub(super) facts: Facts,
    pub(super) rib: RibHandle,
    pub(super) sessions: Sessions,
    pub(super) vips: Arc<vip::Handle>,
    pub(super) kernel: KernelHandle,
    pub(super) reloads: Arc<Mutex<Reloads>>,
    pub(super) drains: drain::Shared,
    pub(super) shutdowns: Shutdowns,
    pub(super) orders: mpsc::Sender<Order>,
}

impl Answerer {
    /// Serves questions until nobody can ask any more. Each has a task, so that a long one holds up no other; the
    /// channel's bound holds for all of them.
    pub(super) async fn serve(self, mut questions: mpsc::Receiver<Question>) {
        while let Some(question) = questions.recv().await {
            let answerer = self.clone();
            tokio::spawn(async move { answerer.answer(question).await });
        }
    }

    async fn answer(&self, question: Question) {
        // Whoever asked may have gone; then nobody needs the answer.
        match question {
            Question::Control { request, reply } => match request {
                Request::Reload {
                    file,
                    dry_run,
                    no_reset,
                    confirm_s,
                } => {
                    self.order(Order::Reload {
                        file,
                        dry_run,
                        no_reset,
                        confirm: confirm_s.map(Duration::from_secs),
                        reply,
                    })
                    .await;
                }
                Request::Confirm => self.order(Order::Confirm { reply }).await,
                Request::Drain {
                    targets,
                    settle_ms,
                    shutdown,
                } => {
                    let wish = Wish {
                        targets,
                        settle: Duration::from_millis(settle_ms),
                        shutdown,
                    };
                    self.order(Order::Drain { wish, reply }).await;
                }
                Request::Undrain { targets } => self.order(Order::Undrain { targets, reply }).await,
                Request::ShutdownPeer { name, text } => {
                    self.order(Order::Shutdown { name, text, reply }).await;
                }
                Request::EnablePeer { name } => self.order(Order::Enable { name, reply }).await,
                Request::Stop => self.order(Order::Stop { reply }).await,
                request => drop(reply.send(self.respond(request).await.unwrap_or_else(Response::Failed))),
            },
            Question::Takeover { reply } => self.order(Order::Takeover { reply }).await,
            Question::Metrics { reply } => drop(reply.send(self.metrics().await)),
            Question::Readiness { reply } => drop(reply.send(self.readiness().await)),
        }
    }

    async fn order(&self, order: Order) {
        // Dropping the order's reply is the answer of a speaker that is stopping.
        drop(self.orders.send(order).await);
    }

    async fn respond(&self, request: Request) -> Result<Response, Failure> {
        match request {
            Request::Status => Ok(Response::Status(Box::new(self.status().await?))),
            Request::Peers => Ok(Response::Peers(self.peers().await?)),
            Request::Peer { name } => {
                let status = self.find(&name)?;
                let report = self
                    .peers()
                    .await?
                    .into_iter()
                    .find(|report| report.status.name == status.name);
                report
                    .map(|report| Response::Peer(Box::new(report)))
                    .ok_or(Failure::Unanswered)
            }
            Request::Routes(request) => self.routes(&request).await,
            Request::Lookup { address } => match self.ask(Query::Lookup(address)).await? {
                Answer::Routes { routes, next } => Ok(Response::Routes { routes, next }),
                Answer::Why(_) | Answer::Counters(_) | Answer::NoSuchPeer => Err(Failure::Unanswered),
            },
            Request::Vips => Ok(Response::Vips(self.vips().await)),
            Request::Why { prefix, peer } => self.why(prefix, peer).await,
            Request::ResetPeer { name, how } => {
                let how = match how {
                    Reset::Hard => SessionReset::Hard {
                        text: String::from("reset by the operator"),
                    },
                    Reset::SoftIn => SessionReset::SoftIn,
                    Reset::SoftOut => SessionReset::SoftOut,
                };
                self.reset(&name, how).await
            }
            Request::Drains => Ok(Response::Drains(self.drains.statuses())),
            Request::Reload { .. }
            | Request::Confirm
            | Request::Drain { .. }
            | Request::Undrain { .. }
            | Request::ShutdownPeer { .. }
            | Request::EnablePeer { .. }
            | Request::Takeover
            | Request::Stop => Err(Failure::Unanswered),
        }
    }

    async fn ask(&self, query: Query) -> Result<Answer, Failure> {
        self.rib.query(query).await.ok_or(Failure::Unanswered)
    }

    pub(super) async fn counters(&self) -> Result<Counters, Failure> {
        match self.ask(Query::Counters).await? {
            Answer::Counters(counters) => Ok(counters),
            Answer::Routes { .. } | Answer::Why(_) | Answer::NoSuchPeer => Err(Failure::Unanswered),
        }
    }

    async fn peers(&self) -> Result<Vec<PeerReport>, Failure> {
        let counters = self.counters().await?;
        Ok(PeerReport::join(self.sessions.statuses(), &counters))
    }

    async fn status(&self) -> Result<DaemonStatus, Failure> {
        Ok(DaemonStatus {
            version: String::from(env!("CARGO_PKG_VERSION")),
            pid: std::process::id(),
            asn: self.facts.asn,
            router_id: self.facts.router_id,
            config: self.facts.config.clone(),
            uptime_s: self.facts.started.elapsed().as_secs(),
            readiness: self.readiness().await,
            last_reload: self.reloads().last,
            drains: self.drains.statuses(),
            counters: self.counters().await?,
        })
    }

    async fn routes(&self, request: &RoutesRequest) -> Result<Response, Failure> {
        let mut asked = None;
        let query = request.query(|name| {
            asked = Some(name.to_owned());
            self.peer_id(name)
        })?;
        match self.ask(query).await? {
            Answer::Routes { routes, next } => Ok(Response::Routes { routes, next }),
            Answer::NoSuchPeer => Err(Failure::NotEstablished {
                name: asked.unwrap_or_default(),
            }),
            Answer::Why(_) | Answer::Counters(_) => Err(Failure::Unanswered),
        }
    }

    async fn why(&self, prefix: Prefix, peer: Option<String>) -> Result<Response, Failure> {
        let only = peer.as_deref().map(|name| self.find(name)).transpose()?;
        // One that is not Established is told of like the others: that it is not is why nothing is there.
        let up = only.as_ref().filter(|only| only.state == State::Established);
        let id = up.and_then(|only| self.sessions.peer_id(&only.name));
        match self.ask(Query::Why { prefix, peer: id }).await? {
            Answer::Why(mut explanation) => {
                if only.is_some() && id.is_none() {
                    explanation.exports.clear();
                }
                let concerned = |status: &Status| only.as_ref().is_none_or(|only| only.name == status.name);
                let mut statuses = self.sessions.statuses();
                statuses.retain(concerned);
                explanation.add_absent(&statuses);
                let kernel = self.kernel.route_state(prefix).await.into_iter().collect();
                Ok(Response::Why(Box::new(WhyReport::join(
                    *explanation,
                    kernel,
                    self.vips.statuses(),
                ))))
            }
            Answer::NoSuchPeer => Err(Failure::NotEstablished {
                name: peer.unwrap_or_default(),
            }),
            Answer::Routes { .. } | Answer::Counters(_) => Err(Failure::Unanswered),
        }
    }

    /// Every VIP, with who is told of it and who else tells of it.
    async fn vips(&self) -> Vec<VipReport> {
        let mut reports = Vec::new();
        for (index, status) in self.vips.statuses().into_iter().enumerate() {
            let story = if index < MOST_STORIES {
                let query = Query::Why {
                    prefix: status.address,
                    peer: None,
                };
                self.ask(query).await.ok()
            } else {
                None
            };
            let story = story.and_then(|answer| match answer {
                Answer::Why(story) => Some(story),
                Answer::Routes { .. } | Answer::Counters(_) | Answer::NoSuchPeer => None,
            });
            reports.push(VipReport::join(status, story.as_deref(), self.facts.identity()));
        }
        reports
    }

    /// A soft reset is asked for only where it leads to something.
    async fn reset(&self, name: &str, how: SessionReset) -> Result<Response, Failure> {
        let status = self.find(name)?;
        let done = match how {
            SessionReset::Hard { .. } => return self.command(name, Command::Reset(how), "reset").await,
            SessionReset::SoftIn => "is asked for its routes again",
            SessionReset::SoftOut => "is sent its routes again",
        };
        let refused = if status.state != State::Established {
            Some("is not established: there is nothing to refresh")
        } else if how == SessionReset::SoftIn && !status.has(ROUTE_REFRESH) {
            Some("has no route refresh (RFC 2918): only a hard reset brings its routes again")
        } else {
            None
        };
        match refused {
            Some(why) => Err(Failure::Other {
                text: format!("peer {} {why}", status.name),
            }),
            None => self.command(name, Command::Reset(how), done).await,
        }
    }

    pub(super) async fn command(
        &self,
        name: &str,
        command: Command,
        done: &str,
    ) -> Result<Response, Failure> {
        let status = self.find(name)?;
        let given = self.sessions.command(&status.name, command).await;
        given.map_err(|error| Failure::Other {
            text: error.to_string(),
        })?;
        Ok(Response::Done {
            text: format!("peer {} {done}", status.name),
        })
    }

    /// The peer of this name or address.
    pub(super) fn find(&self, name: &str) -> Result<Status, Failure> {
        let statuses = self.sessions.statuses();
        let address = name.parse().ok();
        let found = statuses
            .iter()
            .find(|status| *status.name == *name || Some(status.address) == address);
        found
            .cloned()
            .ok_or_else(|| no_such_peer(name, statuses.iter().map(|status| &*status.name)))
    }

    fn peer_id(&self, name: &str) -> Result<PeerId, Failure> {
        let status = self.find(name)?;
        self.sessions
            .peer_id(&status.name)
            .ok_or_else(|| Failure::NotEstablished {
                name: name.to_owned(),
            })
    }

    fn reloads(&self) -> Reloads {
        self.reloads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    async fn metrics(&self) -> metrics::Snapshot {
        let counters = self.counters().await.unwrap_or_default();
        let kernel = self.kernel.status().await.unwrap_or_default().routes;
        let reloads = self.reloads();
        scrape::snapshot(scrape::Sources {
            uptime_s: self.facts.started.elapsed().as_secs(),
            peers: &self.sessions.statuses(),
            counters: &counters,
            vips: &self.vips.statuses(),
            fib: &[
                ("installed", kernel.installed),
                ("pending", kernel.pending),
                ("rejected", kernel.rejected),
                ("stale", kernel.stale),
            ],
            reloads: &[
                ("applied", reloads.applied),
                ("unchanged", reloads.unchanged),
                ("refused", reloads.refused),
                ("undone", reloads.undone),
            ],
            readiness: &self.readiness().await,
        })
    }

    /// Which part is not well, from what is published: no shard is asked.
    async fn readiness(&self) -> Readiness {
        let mut readiness = Readiness::default();
        readiness.part("listener", listening(&self.sessions.listeners()));
        readiness.part("kernel", self.kernel_health().await);
        readiness.part("peers", peers_health(&self.sessions.statuses()));
        readiness.part("vips", vips_health(&self.vips.statuses()));
        readiness
    }

    async fn kernel_health(&self) -> Result<String, String> {
        let status = self
            .kernel
            .status()
            .await
            .ok_or_else(|| String::from("the kernel task has ended"))?;
        match status.last_error {
            Some(error) => Err(error),
            None if !status.active => Ok(String::from("nothing to install or import")),
            None if !status.ready => Err(String::from("its tables have not been read yet")),
            None => {
                let routes = status.routes;
                Ok(format!(
                    "{} routes installed, {} pending, {} rejected",
                    routes.installed, routes.pending, routes.rejected
                ))
            }
        }
    }
}

fn listening(listeners: &[ListenerStatus]) -> Result<String, String> {
    let broken: Vec<String> = listeners
        .iter()
        .filter_map(|listener| {
            listener
                .error
                .as_ref()
                .map(|error| format!("{}: {error}", listener.address))
        })
        .collect();
    if broken.is_empty() {
        let addresses: Vec<String> = listeners
            .iter()
            .map(|listener| listener.address.to_string())
            .collect();
        Ok(addresses.join(", "))
    } else {
        Err(broken.join("; "))
    }
}

/// One session is enough: a node whose second router is away still does its job.
fn peers_health(statuses: &[Status]) -> Result<String, String> {
    let wanted = statuses.iter().filter(|peer| !peer.is_self && !peer.shutdown);
    let (up, down): (Vec<_>, Vec<_>) = wanted.partition(|peer| peer.state == State::Established);
    let text = format!("{} of {} sessions Established", up.len(), up.len() + down.len());
    if up.is_empty() && !down.is_empty() {
        Err(text)
    } else {
        Ok(text)
    }
}

fn vips_health(statuses: &[vip::Status]) -> Result<String, String> {
    let waiting = statuses
        .iter()
        .filter(|vip| vip.verdict == vip::Verdict::Unknown)
        .count();
    let text = format!("{} with a verdict, {waiting} without", statuses.len() - waiting);
    if waiting == 0 { Ok(text) } else { Err(text) }
}
