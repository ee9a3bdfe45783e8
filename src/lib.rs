//! Stonechat, a BGP-4 speaker for the machines that run workloads.
//!
//! | module | what it owns |
//! |---|---|
//! | [`route`] | vocabulary: prefixes, tables, peers, where a route comes from |
//! | [`policy`] | filters: a pure function of a route |
//! | [`rib`] | the shard: Adj-RIB-In, decision, Loc-RIB, update groups, rings |
//! | [`session`] | FSM, negotiation, collision; the edge that owns the sockets |
//! | [`originate`] | what this node announces, as differences of full sets |
//! | [`drain`] | what is about to leave: first the last choice, then withdrawn |
//! | [`vip`] | health-checked addresses |
//! | [`kernel`] | netlink: install, import, next-hop tracking |
//! | [`config`] | TOML to a valid configuration, and the plan of a reload |
//! | [`control`] | the Unix socket and HTTP |
//! | [`speaker`] | the daemon: builds the rooms and ferries between them |
//! | [`demo`] | the throwaway lab of `stonechat demo` |
//! | [`cli`] | the command line, one file a verb |
//! | [`metrics`], [`telemetry`] | the metrics page; logs and the service manager |

pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod drain;
pub mod kernel;
pub mod metrics;
pub mod originate;
pub mod policy;
pub mod rib;
pub mod route;
pub mod session;
pub mod speaker;
pub mod telemetry;
pub mod vip;
