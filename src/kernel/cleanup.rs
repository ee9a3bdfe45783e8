//! Removes what a dead daemon left in the kernel.

use std::io;

use super::fib::{Action, Form, NexthopOperation, Operation, RouteOperation};
use super::netlink::Requests;
use super::wire::{DumpScope, Leads, Message, Nexthop, Route, Stamp, Verb};
use crate::route::TableId;

/// Deletes every route of `protocol`, in whatever table it is, and its nexthop objects; how many routes went, and how many
/// of both would not.
///
/// # Errors
///
/// The kernel cannot be asked.
pub fn remove_routes(protocol: u8) -> io::Result<(usize, usize)> {
    let mut requests = Requests::open()?;
    let (mut removed, mut failed) = (0, 0);
    for ipv6 in [false, true] {
        let messages = requests.dump(DumpScope::Routes {
            table: TableId::UNSPECIFIED,
            ipv6,
            interface: None,
        })?;
        let routes = messages.into_iter().filter_map(route);
        let ours = routes.filter(|route| route.protocol == protocol);
        let operations: Vec<Operation> = ours.map(|route| removal(&route)).collect();
        let answers = requests.run(protocol, &operations)?;
        let refused = answers.results.iter().filter(|result| result.is_err()).count();
        removed += answers.results.len() - refused;
        failed += refused;
    }
    failed += remove_nexthops(&mut requests, protocol)?;
    Ok((removed, failed))
}

/// Routes are gone, so nothing goes along with the objects. Groups go before their members.
fn remove_nexthops(requests: &mut Requests, protocol: u8) -> io::Result<usize> {
    let mut objects: Vec<Nexthop> = requests
        .dump(DumpScope::Nexthops)?
        .into_iter()
        .filter_map(nexthop)
        .collect();
    objects.retain(|nexthop| nexthop.protocol == protocol);
    objects.sort_by_key(|nexthop| !matches!(nexthop.leads, Some(Leads::Group(_))));
    let removal = |nexthop: &Nexthop| {
        Operation::Nexthop(NexthopOperation {
            id: nexthop.id,
            leads: None,
            replace: false,
        })
    };
    let operations: Vec<Operation> = objects.iter().map(removal).collect();
    let answers = requests.run(protocol, &operations)?;
    Ok(answers.results.iter().filter(|result| result.is_err()).count())
}

fn route(message: Message) -> Option<Route> {
    let Message::Route(Verb::New, _, route) = message else {
        return None;
    };
    Some(route)
}

fn nexthop(message: Message) -> Option<Nexthop> {
    let Message::Nexthop(Verb::New, nexthop) = message else {
        return None;
    };
    Some(nexthop)
}

fn removal(route: &Route) -> Operation {
    let key = (route.table, route.prefix);
    Operation::Route(RouteOperation::by_hand(
        key,
        route.metric,
        Action::Delete,
        Form::from([]),
        Stamp::plain(route.protocol),
    ))
}
