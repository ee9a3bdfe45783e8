//! Removes what a dead daemon left in the kernel.

use std::io;

use super::fib::{Action, Form, Operation};
use super::netlink::Requests;
use super::wire::{DumpScope, Message, Verb};
use crate::route::TableId;

/// Deletes every route of `protocol` from the tables, in both families; how many went and how many would not.
///
/// # Errors
///
/// The kernel cannot be asked.
pub fn remove_routes(protocol: u8, tables: &[TableId]) -> io::Result<(usize, usize)> {
    let mut requests = Requests::open()?;
    let (mut removed, mut failed) = (0, 0);
    for table in tables {
        for ipv6 in [false, true] {
            let messages = requests.dump(DumpScope::Routes {
                table: *table,
                ipv6,
                interface: None,
            })?;
            let operations = messages.into_iter().filter_map(|message| match message {
                Message::Route(Verb::New, _, route)
                    if route.protocol == protocol && route.table == *table =>
                {
                    let form = Form::from([]);
                    let key = (route.table, route.prefix);
                    Some(Operation {
                        key,
                        metric: route.metric,
                        action: Action::Delete,
                        form,
                    })
                }
                Message::Route(..)
                | Message::Link(..)
                | Message::Address(..)
                | Message::Nexthop(..)
                | Message::Answer { .. }
                | Message::Done(_)
                | Message::Overrun
                | Message::Other => None,
            });
            let answers = requests.run(protocol, operations.collect())?;
            let refused = answers
                .results
                .iter()
                .filter(|(_, result)| result.is_err())
                .count();
            removed += answers.results.len() - refused;
            failed += refused;
        }
    }
    Ok((removed, failed))
}
