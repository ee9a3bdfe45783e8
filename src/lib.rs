//! Stonechat, a BGP-4 speaker for the machines that run workloads.

pub mod policy;
pub mod route;
