//! `stonechat routes`: listings come page by page and are printed as they come.

use std::net::IpAddr;
use std::str::FromStr;

use bgp_codec::Family;

use super::span::span;
use super::table::{Column, Table};
use super::{Error, Terminal};
use crate::control::protocol::{PAGE, RouteView, RoutesRequest};
use crate::control::{Request, Response};
use crate::rib::explain::RouteEntry;
use crate::route::Prefix;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// An address: its longest match. A prefix: itself and all inside it
    #[arg(value_name = "ADDRESS|PREFIX")]
    what: Option<Selection>,
    /// What this peer sent, rejected routes too
    #[arg(long, value_name = "PEER", conflicts_with = "advertised")]
    received: Option<String>,
    /// What this peer was sent
    #[arg(long, value_name = "PEER")]
    advertised: Option<String>,
    /// Only this family: ipv4, ipv6 or a full name
    #[arg(long, value_parser = parse_family)]
    family: Option<Family>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Selection {
    Address(IpAddr),
    Prefix(Prefix),
}

impl FromStr for Selection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        let prefix: Prefix = text
            .parse()
            .map_err(|_| format!("{text:?} is neither an address nor a prefix"))?;
        Ok(Self::Prefix(prefix.trunc()))
    }
}

pub(super) fn execute(arguments: &Arguments, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let view = match (&arguments.received, &arguments.advertised) {
        (Some(peer), _) => RouteView::Received(peer.clone()),
        (_, Some(peer)) => RouteView::Advertised(peer.clone()),
        _ => RouteView::Best,
    };
    let within = match arguments.what {
        Some(Selection::Address(address)) if view == RouteView::Best => return look_up(address, terminal),
        // A peer's table is not searched by longest match; the route that names exactly this host is what is there.
        Some(Selection::Address(address)) => Some(Prefix::from(address)),
        Some(Selection::Prefix(prefix)) => Some(prefix),
        None => None,
    };
    list(
        RoutesRequest {
            view,
            family: arguments.family,
            within,
            after: None,
            limit: PAGE,
        },
        terminal,
    )
}

fn look_up(address: IpAddr, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let (routes, _) = ask(&Request::Lookup { address }, terminal)?;
    if routes.is_empty() && !terminal.output.wants_json() {
        return Err(Error::NoRoute(address));
    }
    let mut listing = Listing::new();
    listing.add(&routes, terminal)?;
    listing.end(terminal)
}

fn list(mut request: RoutesRequest, terminal: &mut Terminal<'_>) -> Result<(), Error> {
    let mut listing = Listing::new();
    loop {
        let (routes, next) = ask(&Request::Routes(request.clone()), terminal)?;
        listing.add(&routes, terminal)?;
        if next.is_none() {
            return listing.end(terminal);
        }
        request.after = next;
    }
}

fn ask(request: &Request, terminal: &Terminal<'_>) -> Result<(Vec<RouteEntry>, Option<Prefix>), Error> {
    match terminal.client.ask(request)? {
        Response::Routes { routes, next } => Ok((routes, next)),
        _ => Err(Error::Answer(String::from("it is no list of routes"))),
    }
}

/// Routes as they are printed, part by part.
struct Listing {
    table: Table,
    count: usize,
}

impl Listing {
    fn new() -> Self {
        let table = Table::new([
            Column::Left(""),
            Column::Left("PREFIX"),
            Column::Left("NEXT HOP"),
            Column::Left("FROM"),
            Column::Right("PREF"),
            Column::Right("MED"),
            Column::Left("AS PATH"),
            Column::Left("COMMUNITIES"),
            Column::Right("AGE"),
            Column::Left("NOT USED BECAUSE"),
        ]);
        Self { table, count: 0 }
    }

    fn add(&mut self, routes: &[RouteEntry], terminal: &mut Terminal<'_>) -> Result<(), Error> {
        if routes.is_empty() {
            return Ok(());
        }
        if !terminal.output.wants_json() {
            routes.iter().for_each(|route| self.table.row(cells(route)));
            self.count += routes.len();
            return terminal.output.text(&self.table.text());
        }
        for route in routes {
            terminal
                .output
                .text(if self.count == 0 { "[\n" } else { ",\n" })?;
            let line = serde_json::to_string(route).map_err(std::io::Error::from)?;
            terminal.output.text(&line)?;
            self.count += 1;
        }
        Ok(())
    }

    fn end(self, terminal: &mut Terminal<'_>) -> Result<(), Error> {
        match (terminal.output.wants_json(), self.count) {
            (true, 0) => terminal.output.text("[]\n"),
            (true, _) => terminal.output.text("\n]\n"),
            (false, 0) => terminal.output.text("no routes\n"),
            (false, _) => terminal
                .output
                .text("* best, = used beside it, s stale, x not usable\n"),
        }
    }
}

fn cells(route: &RouteEntry) -> [String; 10] {
    let path = match (route.as_path.is_empty(), route.origin.as_str()) {
        (true, origin) => String::from(origin),
        (false, origin) => format!("{} {origin}", route.as_path),
    };
    let id = if route.path_id == 0 {
        String::new()
    } else {
        format!(" #{}", route.path_id)
    };
    [
        flags(route),
        format!("{}{id}", route.prefix),
        route
            .next_hop
            .map_or_else(|| String::from("-"), |next_hop| next_hop.to_string()),
        route.source.to_string(),
        route.local_pref.to_string(),
        route.med.map_or_else(|| String::from("-"), |med| med.to_string()),
        path,
        route.communities.join(" "),
        span(route.age_s),
        route.unusable.clone().unwrap_or_default(),
    ]
}

pub(super) fn flags(route: &RouteEntry) -> String {
    let flags = [
        (route.best, '*'),
        (route.multipath && !route.best, '='),
        (route.stale, 's'),
        (route.unusable.is_some(), 'x'),
    ];
    flags
        .into_iter()
        .filter_map(|(set, flag)| set.then_some(flag))
        .collect()
}

fn parse_family(text: &str) -> Result<Family, String> {
    match text {
        "ipv4" => Ok(Family::IPV4_UNICAST),
        "ipv6" => Ok(Family::IPV6_UNICAST),
        _ => text
            .parse()
            .map_err(|_| format!("no address family {text:?}; ipv4 and ipv6 are the usual ones")),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::testing::Daemon;

    #[test]
    fn routes_stand_in_columns_with_their_flags() {
        let mut other = route("10.244.1.0/24", "f5-a");
        other.best = false;
        other.unusable = Some("next hop unreachable".into());
        let mut six = route("2001:db8:244::/64", "node2");
        six.next_hop = Some("2001:db8:ffff:ffff:ffff:ffff:ffff:1".parse().unwrap());
        six.communities = vec!["64512:100".into()];
        let daemon = Daemon::new(move |_| {
            let routes = vec![route("10.244.1.0/24", "node2"), other.clone(), six.clone()];
            Response::Routes { routes, next: None }
        });
        assert_eq!(
            daemon.text(|terminal| execute(&arguments(), terminal)),
            "   PREFIX             NEXT HOP                             FROM   PREF  MED  AS PATH    COMMUNITIES    AGE  \
             NOT USED BECAUSE\n\
             *  10.244.1.0/24      172.16.40.198                        node2   100    -  65001 igp               1m05s\n\
             x  10.244.1.0/24      172.16.40.198                        f5-a    100    -  65001 igp               1m05s  \
             next hop unreachable\n\
             *  2001:db8:244::/64  2001:db8:ffff:ffff:ffff:ffff:ffff:1  node2   100    -  65001 igp  64512:100    1m05s\n\
             * best, = used beside it, s stale, x not usable\n"
        );
    }

    #[test]
    fn all_pages_are_asked_for() {
        let daemon = Daemon::new(|request| {
            let Request::Routes(request) = request else {
                panic!("{request:?}")
            };
            match request.after {
                None => page("10.0.0.0/24", Some("10.0.0.0/24")),
                Some(after) if after == prefix("10.0.0.0/24") => page("10.0.1.0/24", Some("10.0.1.0/24")),
                Some(_) => page("10.0.2.0/24", None),
            }
        });
        let text = daemon.text(|terminal| execute(&arguments(), terminal));
        assert_eq!(text.lines().count(), 5, "{text}");
        let json = daemon.json(|terminal| execute(&arguments(), terminal));
        let prefixes: Vec<&str> = json
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["prefix"].as_str().unwrap())
            .collect();
        assert_eq!(prefixes, ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"]);
    }

    #[test]
    fn an_empty_table_is_said_to_be_empty() {
        let daemon = Daemon::new(|_| Response::Routes {
            routes: vec![],
            next: None,
        });
        assert_eq!(
            daemon.text(|terminal| execute(&arguments(), terminal)),
            "no routes\n"
        );
        assert_eq!(
            daemon.json(|terminal| execute(&arguments(), terminal)),
            serde_json::json!([])
        );
        let lookup = Arguments {
            what: Some("192.0.2.9".parse().unwrap()),
            ..arguments()
        };
        let (_, done) = daemon.ask(false, |terminal| execute(&lookup, terminal));
        assert_eq!(done, Err("no route to 192.0.2.9".into()));
    }

    #[test]
    fn what_is_asked_for_is_what_was_typed() {
        check(
            arguments(),
            r#"{"routes":{"view":"best","family":null,"within":null,"after":null,"limit":1000}}"#,
        );
        let lookup = Arguments {
            what: Some("2001:db8::9".parse().unwrap()),
            ..arguments()
        };
        check(lookup, r#"{"lookup":{"address":"2001:db8::9"}}"#);
        let received = Arguments {
            what: Some("10.1.2.3/8".parse().unwrap()),
            received: Some("f5-a".into()),
            family: Some(parse_family("ipv4").unwrap()),
            ..arguments()
        };
        check(
            received,
            r#"{"routes":{"view":{"received":"f5-a"},"family":"ipv4-unicast","within":"10.0.0.0/8","after":null,"limit":1000}}"#,
        );
        let advertised = Arguments {
            what: Some("192.0.2.1".parse().unwrap()),
            advertised: Some("f5-a".into()),
            ..arguments()
        };
        check(
            advertised,
            r#"{"routes":{"view":{"advertised":"f5-a"},"family":null,"within":"192.0.2.1/32","after":null,"limit":1000}}"#,
        );
    }

    #[test]
    fn what_is_no_address_and_no_family_is_refused() {
        assert!("10.0.0".parse::<Selection>().is_err());
        assert!(parse_family("ipv5").is_err());
        assert_eq!(parse_family("ipv6-unicast"), Ok(Family::IPV6_UNICAST));
    }

    #[expect(clippy::needless_pass_by_value, reason = "reads better in the tests")]
    fn check(arguments: Arguments, asked: &'static str) {
        let daemon = Daemon::new(move |request| {
            assert_eq!(serde_json::to_string(&request).unwrap(), asked);
            page("10.0.0.0/24", None)
        });
        daemon.text(|terminal| execute(&arguments, terminal));
    }

    fn arguments() -> Arguments {
        Arguments {
            what: None,
            received: None,
            advertised: None,
            family: None,
        }
    }

    fn page(only: &str, next: Option<&str>) -> Response {
        Response::Routes {
            routes: vec![route(only, "node2")],
            next: next.map(prefix),
        }
    }

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    pub(in crate::cli) fn route(prefix: &str, source: &str) -> RouteEntry {
        RouteEntry {
            prefix: prefix.parse().unwrap(),
            path_id: 0,
            source: source.into(),
            next_hop: Some("172.16.40.198".parse().unwrap()),
            origin: "igp".into(),
            as_path: "65001".into(),
            local_pref: 100,
            med: None,
            weight: 0,
            tag: 0,
            table: None,
            communities: vec![],
            originator_id: None,
            cluster_list: vec![],
            best: true,
            multipath: false,
            stale: false,
            unusable: None,
            age_s: 65,
        }
    }
}
