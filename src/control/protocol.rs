//! What goes over the control socket: one JSON object a line, a [`Response`] for each [`Request`], in order.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use bgp_codec::Family;
use serde::{Deserialize, Serialize};

use super::announcers::VipReport;
use super::show::{DaemonStatus, PeerReport, Plan, WhyReport};
use crate::drain::{self, Target};
use crate::rib::explain::{Query, RouteEntry, View};
use crate::route::{PeerId, Prefix};

/// Prefixes in a page unless the request wants fewer.
pub const PAGE: u32 = 1_000;

/// What the command line asks.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// The daemon as a whole.
    Status,
    /// Every peer.
    Peers,
    /// One peer.
    Peer {
        /// Its name or address.
        name: String,
    },
    /// A page of a table.
    Routes(RoutesRequest),
    /// The longest match of an address in Loc-RIB.
    Lookup {
        /// The address.
        address: IpAddr,
    },
    /// Every VIP.
    Vips,
    /// The whole story of one prefix.
    Why {
        /// Exact.
        prefix: Prefix,
        /// Advertisement to this peer only, by name or address.
        peer: Option<String>,
    },
    /// Read the configuration again.
    Reload {
        /// Another file to read, absolute; only for a plan.
        file: Option<PathBuf>,
        /// Only say what would change.
        dry_run: bool,
        /// Refuse when a session would be reset.
        no_reset: bool,
        /// Go back after so many seconds unless [`Request::Confirm`] comes first.
        #[serde(default)]
        confirm_s: Option<u64>,
    },
    /// What a reload with `confirm_s` applied stays.
    Confirm,
    /// Make these everybody's last choice, then withdraw them (RFC 8326).
    Drain {
        /// Which; all of them, or none where one does not exist.
        targets: Vec<Target>,
        /// How long they are announced as the last choice.
        settle_ms: u64,
        /// Shut peers down at the end, with this text (RFC 9003).
        shutdown: Option<String>,
    },
    /// End drains.
    Undrain {
        /// Which; everything ends all of them.
        targets: Vec<Target>,
    },
    /// What is drained.
    Drains,
    /// Leave for good: withdraw, tell the peers, remove what is ours from the kernel.
    Stop,
    /// A successor is here: stop as for a restart and hand it the listening sockets. They come with the answer; the
    /// connection closes when the daemon has ended.
    Takeover,
    /// Begin a peer's session or its routes anew.
    ResetPeer {
        /// Its name or address.
        name: String,
        /// What is begun anew.
        how: Reset,
    },
    /// Take a peer down and keep it down.
    ShutdownPeer {
        /// Its name or address.
        name: String,
        /// Told to the peer (RFC 9003).
        text: String,
    },
    /// Let a peer up again.
    EnablePeer {
        /// Its name or address.
        name: String,
    },
}

/// A listening socket that comes with the answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct HandedSocket {
    /// As configured.
    pub address: SocketAddr,
    /// Networks for which it has TCP MD5 keys.
    pub keyed: Vec<Prefix>,
}

/// What a reset begins anew.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reset {
    /// The session.
    Hard,
    /// What the peer advertised, by ROUTE-REFRESH (RFC 2918).
    SoftIn,
    /// What the peer is advertised.
    SoftOut,
}

/// Which page of which table.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RoutesRequest {
    /// Which table.
    pub view: RouteView,
    /// One family, or all.
    #[serde(with = "family_text", default)]
    pub family: Option<Family>,
    /// Only prefixes equal to or inside this one.
    pub within: Option<Prefix>,
    /// Continue behind this prefix.
    pub after: Option<Prefix>,
    /// At most this many prefixes, and never more than [`PAGE`].
    pub limit: u32,
}

/// Which table, with peers by name or address.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RouteView {
    /// Loc-RIB.
    Best,
    /// What this peer sent.
    Received(String),
    /// What this peer was sent.
    Advertised(String),
}

impl RoutesRequest {
    /// The shard's query for this page; `peer` finds a peer by name or address.
    ///
    /// # Errors
    /// What `peer` says of a name that it does not know.
    pub fn query(&self, peer: impl FnOnce(&str) -> Result<PeerId, Failure>) -> Result<Query, Failure> {
        let view = match &self.view {
            RouteView::Best => View::Best,
            RouteView::Received(name) => View::Received(peer(name)?),
            RouteView::Advertised(name) => View::Advertised(peer(name)?),
        };
        Ok(Query::Routes {
            view,
            family: self.family,
            within: self.within,
            after: self.after,
            limit: usize::try_from(self.limit.clamp(1, PAGE)).unwrap_or(1),
        })
    }
}

/// What the daemon answers.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Response {
    /// The daemon as a whole.
    Status(Box<DaemonStatus>),
    /// Every peer.
    Peers(Vec<PeerReport>),
    /// One peer.
    Peer(Box<PeerReport>),
    /// A page, also of one prefix.
    Routes {
        /// In prefix order.
        routes: Vec<RouteEntry>,
        /// To be passed as `after` for the next page.
        next: Option<Prefix>,
    },
    /// Every VIP.
    Vips(Vec<VipReport>),
    /// The whole story of one prefix.
    Why(Box<WhyReport>),
    /// What a reload changed or would change.
    Plan(Plan),
    /// What is drained.
    Drains(Vec<drain::Status>),
    /// Listening sockets, which are attached in this order.
    Handed(Vec<HandedSocket>),
    /// Done; nothing to show beyond this sentence.
    Done {
        /// What was done.
        text: String,
    },
    /// Not done.
    Failed(Failure),
}

/// Why the daemon did not do as asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// No peer has this name or address.
    #[error("no peer {name:?}{}", nearest_text(nearest))]
    NoSuchPeer {
        /// As asked.
        name: String,
        /// The names most like it.
        nearest: Vec<String>,
    },
    /// The peer has no session to do this with.
    #[error("peer {name} is not Established")]
    NotEstablished {
        /// Its name.
        name: String,
    },
    /// The configuration is wrong and nothing changed.
    #[error("{text}")]
    Configuration {
        /// Each error with file, line and column.
        text: String,
    },
    /// The plan resets sessions and that was forbidden; nothing changed.
    #[error("not reloaded: sessions would be reset\n{}", .0.text())]
    WouldReset(Plan),
    /// The line was no request of this version.
    #[error("the daemon does not understand the request: {text}")]
    NotUnderstood {
        /// Why not.
        text: String,
    },
    /// The speaker is stopping or stuck.
    #[error("the daemon did not answer")]
    Unanswered,
    /// Anything else, in words.
    #[error("{text}")]
    Other {
        /// What is wrong and what to do.
        text: String,
    },
}

fn nearest_text(nearest: &[String]) -> String {
    match nearest {
        [] => String::from("; there are no peers"),
        names => format!("; the nearest are {}", names.join(", ")),
    }
}

/// A family by the name that it has everywhere else.
mod family_text {
    use bgp_codec::Family;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde's `with` passes a reference to the field")]
    pub(super) fn serialize<S: Serializer>(
        family: &Option<Family>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match family {
            Some(family) => serializer.collect_str(family),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Family>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        let family = text.map(|text| {
            let parsed = text.parse::<Family>();
            parsed.map_err(|_| D::Error::custom(format_args!("no address family {text:?}")))
        });
        family.transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_single_lines_that_people_can_type() {
        check(Request::Peers, r#""peers""#);
        check(
            Request::Peer { name: "f5-a".into() },
            r#"{"peer":{"name":"f5-a"}}"#,
        );
        let lookup = Request::Lookup {
            address: "2001:db8::1".parse().unwrap(),
        };
        check(lookup, r#"{"lookup":{"address":"2001:db8::1"}}"#);
        let routes = RoutesRequest {
            view: RouteView::Received("f5-a".into()),
            family: Some(Family::IPV4_UNICAST),
            within: Some("10.0.0.0/8".parse().unwrap()),
            after: None,
            limit: 5,
        };
        check(
            Request::Routes(routes),
            r#"{"routes":{"view":{"received":"f5-a"},"family":"ipv4-unicast","within":"10.0.0.0/8","after":null,"limit":5}}"#,
        );
    }

    #[test]
    fn an_unknown_family_is_an_error() {
        let line = r#"{"routes":{"view":"best","family":"ipv5","limit":5}}"#;
        let error = serde_json::from_str::<Request>(line).unwrap_err();
        assert!(
            error.to_string().contains("no address family \"ipv5\""),
            "{error}"
        );
    }

    #[test]
    fn a_page_is_never_larger_than_the_limit() {
        let mut request = RoutesRequest {
            view: RouteView::Best,
            family: None,
            within: None,
            after: None,
            limit: 0,
        };
        for (asked, given) in [(0, 1), (7, 7), (4_000_000, 1_000)] {
            request.limit = asked;
            let Ok(Query::Routes {
                limit,
                view: View::Best,
                ..
            }) = request.query(|_| unreachable!())
            else {
                panic!("a listing of Loc-RIB");
            };
            assert_eq!(limit, given);
        }
    }

    #[test]
    fn an_unknown_peer_is_told_with_its_nearest() {
        let failure = Failure::NoSuchPeer {
            name: "nod1".into(),
            nearest: vec!["node1".into(), "node2".into()],
        };
        assert_eq!(
            failure.to_string(),
            "no peer \"nod1\"; the nearest are node1, node2"
        );
        let failure = Failure::NoSuchPeer {
            name: "nod1".into(),
            nearest: vec![],
        };
        assert_eq!(failure.to_string(), "no peer \"nod1\"; there are no peers");
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the tests")]
    fn check(request: Request, line: &str) {
        assert_eq!(serde_json::to_string(&request).unwrap(), line);
        assert_eq!(serde_json::from_str::<Request>(line).unwrap(), request);
    }
}
