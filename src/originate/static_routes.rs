//! Prefixes that are written in the configuration.

use std::sync::Arc;

use bgp_codec::Origin;

use super::attributes;
use super::settings::Source;
use crate::route::{LocalRoute, OriginKind, Prefix};

/// One route for each prefix.
pub(super) fn routes(source: &Source, prefixes: &[Prefix]) -> Vec<LocalRoute> {
    let attributes = attributes(Origin::Igp, source.extras());
    let route = |prefix: &Prefix| LocalRoute {
        prefix: prefix.trunc(),
        kind: OriginKind::Static,
        name: Arc::clone(&source.name),
        attributes: Arc::clone(&attributes),
        from_kernel: None,
    };
    prefixes.iter().map(route).collect()
}
