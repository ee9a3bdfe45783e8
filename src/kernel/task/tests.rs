//! The edge on a real kernel. Each test runs in a thread of its own with a network namespace of its own, so nothing outside
//! is touched; without root it says so and passes.

use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use bgp_codec::Family;
use rtnetlink::{LinkUnspec, LinkVeth};

use super::*;
use crate::kernel::cleanup::remove_routes;
use crate::kernel::fib::{Action, Form, Operation, RouteOperation};
use crate::kernel::lab::{next_hop, route, settings, show};
use crate::kernel::wire::{DumpScope, Hop, Stamp, Verb};
use crate::rib::interface::{FibChange, FibRoute};
use crate::route::KernelTableChange;

const OURS: u8 = 179;
const STATIC: u8 = 4;
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn routes_of_every_form_go_in_and_are_adopted_by_the_next_daemon() {
    in_namespace(async {
        let (net, mut daemon) = started().await;
        let wanted = [
            "10.1.0.0/16 192.0.2.9".to_owned(),
            "10.2.0.0/16 192.0.2.9 198.51.100.9".to_owned(),
            format!("10.3.0.0/16 2001:db8::9/fe80::9/{}", net.d0),
            "2001:db8:1::/48 2001:db8::9".to_owned(),
            "2001:db8:2::/48 2001:db8::9 2001:db8::8".to_owned(),
        ];
        daemon.want(&wanted).await;
        daemon
            .handle
            .set_discard(vec![
                "10.96.0.0/12".parse().unwrap(),
                "fd00:96::/32".parse().unwrap(),
            ])
            .await;
        let installed = |status: &Status| status.routes.installed == 7;
        daemon.until(installed).await;
        let expected = [
            format!("10.1.0.0/16 via 192.0.2.9 dev {} metric 200", net.d0),
            format!(
                "10.2.0.0/16 via 192.0.2.9 dev {} via 198.51.100.9 dev {} metric 200",
                net.d0, net.d1
            ),
            format!("10.3.0.0/16 via fe80::9 dev {} metric 200", net.d0),
            "10.96.0.0/12 blackhole metric 200".to_owned(),
            format!("2001:db8:1::/48 via 2001:db8::9 dev {} metric 200", net.d0),
            format!(
                "2001:db8:2::/48 via 2001:db8::8 dev {0} via 2001:db8::9 dev {0} metric 200",
                net.d0
            ),
            "fd00:96::/32 blackhole metric 200".to_owned(),
        ];
        assert_eq!(ours(), expected);
        drop(daemon);
        // Killed, and started again: the kernel is asked for nothing but its tables.
        let mut daemon = Daemon::start(Some(settings()), &[]).await;
        daemon.until(|status| status.routes.stale == 7).await;
        daemon.want(&wanted).await;
        daemon
            .handle
            .set_discard(vec![
                "10.96.0.0/12".parse().unwrap(),
                "fd00:96::/32".parse().unwrap(),
            ])
            .await;
        daemon.until(installed).await;
        daemon.complete().await;
        daemon.want(&["10.9.0.0/16 192.0.2.9"]).await;
        let status = daemon.until(|status| status.routes.installed == 8).await;
        assert_eq!((status.operations, status.failures), (1, 0), "only the new route");
        daemon.want(&["10.9.0.0/16"]).await;
        daemon.until(installed).await;
        assert_eq!(ours(), expected);
    });
}

#[test]
fn what_nobody_wants_any_more_is_removed_when_the_rib_is_complete() {
    in_namespace(async {
        let (_net, mut daemon) = started().await;
        daemon
            .want(&[
                "10.1.0.0/16 192.0.2.9",
                "10.2.0.0/16 192.0.2.9 198.51.100.9",
                "2001:db8:1::/48 2001:db8::9",
            ])
            .await;
        daemon.until(|status| status.routes.installed == 3).await;
        drop(daemon);
        let mut daemon = Daemon::start(Some(settings()), &[]).await;
        daemon.until(|status| status.routes.stale == 3).await;
        daemon.want(&["10.1.0.0/16 198.51.100.9"]).await;
        daemon.complete().await;
        daemon
            .until(|status| status.routes.stale == 0 && status.routes.installed == 1)
            .await;
        assert_eq!(ours().len(), 1);
        assert!(
            ours()[0].starts_with("10.1.0.0/16 via 198.51.100.9"),
            "{:?}",
            ours()
        );
    });
}

/// Traps 19 and 27, on the kernel itself: IPv6 REPLACE would overwrite a stranger of equal metric.
#[test]
fn a_strangers_route_stays_and_ours_follows_when_it_goes() {
    in_namespace(async {
        let (net, mut daemon) = started().await;
        for prefix in ["10.1.0.0/16", "2001:db8:1::/48"] {
            net.by_hand(STATIC, prefix, 200, Action::Create);
        }
        daemon
            .want(&["10.1.0.0/16 192.0.2.9", "2001:db8:1::/48 2001:db8::9"])
            .await;
        daemon.until(|status| status.routes.rejected == 2).await;
        assert_eq!(
            daemon
                .handle
                .route_state("2001:db8:1::/48".parse().unwrap())
                .await
                .unwrap(),
            "table main: rejected: prefix held by proto static metric 200"
        );
        assert_eq!(ours(), [""; 0]);
        assert_eq!(of_protocol(STATIC).len(), 2);
        for prefix in ["10.1.0.0/16", "2001:db8:1::/48"] {
            net.by_hand(STATIC, prefix, 200, Action::Delete);
        }
        daemon.until(|status| status.routes.installed == 2).await;
        assert_eq!(ours().len(), 2);
    });
}

#[test]
fn every_change_of_form_arrives_in_both_families() {
    in_namespace(async {
        let (_net, mut daemon) = started().await;
        let steps: [(&[&str], &[&str]); 4] = [
            (&["192.0.2.9"], &["2001:db8::9"]),
            (&["192.0.2.9", "198.51.100.9"], &["2001:db8::8", "2001:db8::9"]),
            (&["198.51.100.9"], &["2001:db8::8"]),
            (&["192.0.2.8", "192.0.2.9"], &["2001:db8::7", "2001:db8::9"]),
        ];
        for (ipv4, ipv6) in steps {
            let wants = [
                format!("10.1.0.0/16 {}", ipv4.join(" ")),
                format!("2001:db8:1::/48 {}", ipv6.join(" ")),
            ];
            daemon.want(&wants).await;
            daemon.until_quiet(2).await;
            let shown = ours();
            for (gateways, route) in [ipv4, ipv6].into_iter().zip(&shown) {
                let found: Vec<&str> = route
                    .split(" via ")
                    .skip(1)
                    .map(|rest| rest.split(' ').next().unwrap())
                    .collect();
                assert_eq!(found, gateways, "{shown:?}");
            }
            assert_eq!(shown.len(), 2, "{shown:?}");
        }
        assert_eq!(daemon.handle.status().await.unwrap().failures, 0);
    });
}

#[test]
fn a_route_that_somebody_deletes_or_a_link_takes_comes_back() {
    in_namespace(async {
        let (net, mut daemon) = started().await;
        daemon
            .want(&["10.1.0.0/16 192.0.2.9", "2001:db8:1::/48 2001:db8::9"])
            .await;
        daemon.until(|status| status.routes.installed == 2).await;
        net.by_hand(OURS, "10.1.0.0/16", 200, Action::Delete);
        daemon
            .until(|status| status.routes.installed == 2 && status.operations == 3)
            .await;
        assert_eq!(ours().len(), 2);
        // IPv4 goes without a word; the address stays, so its subnet returns with the link.
        net.set(net.d0, false).await;
        daemon.until(|status| status.routes.pending == 2).await;
        assert_eq!(ours(), [""; 0]);
        net.set(net.d0, true).await;
        net.address(net.d0, "2001:db8::1", 64).await;
        daemon.until(|status| status.routes.installed == 2).await;
        assert_eq!(ours().len(), 2);
    });
}

#[test]
fn what_is_flushed_comes_back_and_what_cannot_be_reached_says_so() {
    in_namespace(async {
        let (net, mut daemon) = started().await;
        let wants: Vec<String> = (0..50)
            .map(|index| format!("10.1.{index}.0/24 192.0.2.9"))
            .collect();
        daemon.want(&wants).await;
        daemon.until(|status| status.routes.installed == 50).await;
        // As `ip route flush proto 179` does it.
        for index in 0..50 {
            net.by_hand(OURS, &format!("10.1.{index}.0/24"), 200, Action::Delete);
        }
        daemon
            .until(|status| status.routes.installed == 50 && status.operations == 100)
            .await;
        assert_eq!(ours().len(), 50);
        // The address stays and its subnet goes: the gateway would be refused with ENETUNREACH.
        const KERNEL: u8 = 2;
        net.by_hand(KERNEL, "192.0.2.0/24", 0, Action::Delete);
        daemon.until(|status| status.routes.pending == 50).await;
        let state = daemon
            .handle
            .route_state("10.1.7.0/24".parse().unwrap())
            .await
            .unwrap();
        assert_eq!(state, "table main: pending: next hop 192.0.2.9: no route to it");
        assert_eq!(ours(), [""; 0]);
        // Over a subnet route that is not of link scope the kernel takes no gateway: ENETUNREACH.
        net.through(STATIC, "192.0.2.0/24", net.d0);
        daemon.until(|status| status.routes.rejected == 50).await;
        let state = daemon
            .handle
            .route_state("10.1.7.0/24".parse().unwrap())
            .await
            .unwrap();
        assert!(
            state.starts_with("table main: rejected: Network is unreachable"),
            "{state}"
        );
        net.by_hand(STATIC, "192.0.2.0/24", 0, Action::Delete);
        net.drop_address(net.d0, "192.0.2.1").await;
        net.address(net.d0, "192.0.2.1", 24).await;
        daemon.until(|status| status.routes.installed == 50).await;
        // The device goes to another namespace: here it is deleted, and everything on it.
        net.delete(net.d0).await;
        daemon.until(|status| status.routes.pending == 50).await;
        assert_eq!(ours(), [""; 0]);
    });
}

/// A subnet whose route is not of link scope, in both families and for a single route as for a nexthop object.
#[test]
fn with_onlink_a_gateway_needs_no_connected_subnet() {
    in_namespace(async {
        const KERNEL: u8 = 2;
        let (net, mut daemon) = started().await;
        net.by_hand(KERNEL, "192.0.2.0/24", 0, Action::Delete);
        net.through(STATIC, "192.0.2.0/24", net.d0);
        let many = (0..100).map(|index| format!("10.1.{index}.0/24 192.0.2.9"));
        let one = ["10.2.0.0/16 192.0.2.8", "2001:db8:1::/48 2001:db8::9"].map(str::to_owned);
        let wants: Vec<String> = many.chain(one).collect();
        daemon.want(&wants).await;
        daemon
            .until(|status| status.routes.rejected == 101 && status.routes.installed == 1)
            .await;
        let changed = Settings {
            onlink: true,
            ..settings()
        };
        daemon.handle.reconfigure(Some(changed), BTreeSet::new()).await;
        daemon.until(|status| status.routes.installed == 102).await;
    });
}

#[test]
fn a_route_whose_address_goes_is_pending_until_it_returns() {
    in_namespace(async {
        let (net, mut daemon) = started().await;
        daemon.want(&["10.1.0.0/16 192.0.2.9"]).await;
        daemon.until(|status| status.routes.installed == 1).await;
        net.drop_address(net.d0, "192.0.2.1").await;
        daemon.until(|status| status.routes.pending == 1).await;
        assert_eq!(ours(), [""; 0]);
        net.address(net.d0, "192.0.2.1", 24).await;
        daemon.until(|status| status.routes.installed == 1).await;
        assert_eq!(ours().len(), 1);
    });
}

#[test]
fn the_importer_hears_of_routes_and_of_those_that_go_silently() {
    in_namespace(async {
        let net = Net::new().await;
        net.by_hand(STATIC, "10.244.0.0/24", 0, Action::Create);
        let mut daemon = Daemon::start(None, &[TableId::MAIN]).await;
        let KernelTableChange::Full(routes) = daemon.imported().await else {
            panic!("not the full set first")
        };
        assert!(
            routes
                .iter()
                .any(|route| route.prefix.to_string() == "10.244.0.0/24"),
            "{routes:?}"
        );
        net.by_hand(STATIC, "10.244.1.0/24", 0, Action::Create);
        daemon.until_imported("+10.244.1.0/24").await;
        net.by_hand(STATIC, "10.244.1.0/24", 0, Action::Delete);
        daemon.until_imported("-10.244.1.0/24").await;
        net.by_hand(OURS, "10.244.2.0/24", 0, Action::Create);
        net.through(STATIC, "10.244.0.76/32", net.d1);
        let (added, seen) = daemon.until_imported("+10.244.0.76/32").await;
        assert!(
            seen.iter().all(|change| !change.contains("10.244.2.0/24")),
            "trap 21: {seen:?}"
        );
        assert_eq!(added.and_then(|route| route.interface).as_deref(), Some("scd1"));
        net.set(net.d1, false).await;
        daemon.until_imported("-10.244.0.76/32").await;
        net.delete(net.d0).await;
        daemon.until_imported("-192.0.2.0/24").await;
    });
}

#[test]
fn leaving_and_cleanup_take_all_of_ours_and_only_that() {
    in_namespace(async {
        let net = Net::new().await;
        net.by_hand(STATIC, "10.7.0.0/16", 200, Action::Create);
        let mut daemon = Daemon::start(Some(settings()), &[]).await;
        daemon
            .want(&["10.1.0.0/16 192.0.2.9", "2001:db8:1::/48 2001:db8::9"])
            .await;
        daemon.until(|status| status.routes.installed == 2).await;
        let installed = daemon.handle.installed().await.unwrap();
        assert_eq!((installed.ipv4.count, installed.ipv6.count), (1, 1));
        assert_eq!(daemon.handle.release(OnStop::Remove).await, 0);
        assert_eq!((ours().len(), of_protocol(STATIC).len()), (0, 1));
        net.by_hand(OURS, "10.8.0.0/16", 7, Action::Create);
        net.by_hand(OURS, "fd00::/32", 7, Action::Create);
        drop(daemon);
        assert_eq!(remove_routes(OURS).unwrap(), (2, 0));
        assert_eq!((ours().len(), of_protocol(STATIC).len()), (0, 1));
    });
}

#[test]
fn many_routes_share_nexthop_objects_and_survive_their_loss() {
    in_namespace(async {
        let (net, mut daemon) = started().await;
        let wants = |next_hops: &str| -> Vec<String> {
            let both = (0..100).map(|index| format!("10.1.{index}.0/24 {next_hops}"));
            both.collect()
        };
        daemon.want(&wants("192.0.2.9 198.51.100.9")).await;
        daemon.until(|status| status.routes.installed == 100).await;
        assert_eq!(objects().len(), 3, "two gateways and a group");
        let before = daemon.handle.status().await.unwrap().operations;
        // A peer's session ends: one request moves all routes, and what the RIB then says is nothing new.
        let gone: IpAddr = "198.51.100.9".parse().unwrap();
        daemon.updates.send(FibUpdate::Suspect(gone)).await.unwrap();
        daemon.want(&wants("192.0.2.9")).await;
        daemon.updates.send(FibUpdate::Settled(gone)).await.unwrap();
        daemon.until_quiet(100).await;
        assert!(
            ours().iter().all(|route| route.matches("via").count() == 1),
            "{:?}",
            ours()
        );
        let status = daemon.until(|status| status.operations > before).await;
        assert!(status.operations <= before + 3, "{status:?} {before}");
        // Somebody removes the objects, and with them all routes.
        for nexthop in objects() {
            let removal = Operation::Nexthop(crate::kernel::fib::NexthopOperation {
                id: nexthop.id,
                leads: None,
                replace: false,
            });
            let _gone_with_its_members = Requests::open().unwrap().run(OURS, &[removal]).unwrap();
        }
        daemon.until(|status| status.operations >= before + 100).await;
        daemon.until(|status| status.routes.installed == 100).await;
        assert_eq!(ours().len(), 100);
        // A link that goes takes its objects and their routes along without a word.
        net.set(net.d0, false).await;
        daemon.until(|status| status.routes.pending == 100).await;
        assert_eq!(ours(), [""; 0]);
        net.set(net.d0, true).await;
        daemon.until(|status| status.routes.installed == 100).await;
        assert_eq!(ours().len(), 100);
        assert_eq!(daemon.handle.release(OnStop::Remove).await, 0);
        assert_eq!((ours().len(), objects().len()), (0, 0));
    });
}

#[test]
fn without_permission_it_says_so_and_tries_again() {
    in_namespace(async {
        let _net = Net::new().await;
        caps::drop(None, caps::CapSet::Effective, caps::Capability::CAP_NET_ADMIN).unwrap();
        let mut daemon = Daemon::start(Some(settings()), &[]).await;
        daemon.want(&["10.1.0.0/16 192.0.2.9"]).await;
        let status = daemon.until(|status| status.failures > 1).await;
        assert_eq!(status.routes.rejected, 1);
        assert!(status.last_error.unwrap().contains("CAP_NET_ADMIN"));
        drop(daemon);
        // The kernel looks at who opened the socket as well: it takes a new daemon.
        caps::raise(None, caps::CapSet::Effective, caps::Capability::CAP_NET_ADMIN).unwrap();
        let mut daemon = Daemon::start(Some(settings()), &[]).await;
        daemon.want(&["10.1.0.0/16 192.0.2.9"]).await;
        let status = daemon.until(|status| status.routes.installed == 1).await;
        assert_eq!(status.last_error, None);
    });
}

#[test]
fn the_router_id_is_the_source_of_the_default_route() {
    in_namespace(async {
        let net = Net::new().await;
        let addresses = crate::kernel::router_id::local_addresses().unwrap();
        assert!(addresses.contains(&IpAddr::from([192, 0, 2, 1])));
        assert_eq!(
            crate::kernel::router_id::discover().unwrap().to_string(),
            "192.0.2.1"
        );
        let form = Form::from([Hop {
            interface: net.d1,
            gateway: Some([198, 51, 100, 254].into()),
            weight: 1,
            onlink: false,
        }]);
        net.run(STATIC, "0.0.0.0/0", 0, (Action::Create, form));
        assert_eq!(
            crate::kernel::router_id::discover().unwrap().to_string(),
            "198.51.100.1"
        );
    });
}

/// Not a proof but a figure: `cargo test --lib twenty_thousand -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn twenty_thousand_routes() {
    in_namespace(async {
        let (_net, mut daemon) = started().await;
        let wants: Vec<String> = (0..20_000_u32)
            .map(|index| {
                format!(
                    "{}/24 192.0.2.9",
                    std::net::Ipv4Addr::from(0x0b00_0000 + (index << 8))
                )
            })
            .collect();
        let start = now();
        daemon.want(&wants).await;
        daemon.until(|status| status.routes.installed == 20_000).await;
        println!("20,000 routes in {:?}", now() - start);
        let start = now();
        assert_eq!(daemon.handle.release(OnStop::Remove).await, 0);
        println!("and out in {:?}", now() - start);
    });
}

/// Runs a test in a namespace of its own, or says why not.
fn in_namespace(test: impl Future<Output = ()> + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        let required = std::env::var("CI").as_deref() == Ok("true");
        assert!(!required, "network namespaces need root");
        eprintln!("skipped: network namespaces need root");
        return;
    }
    let thread = std::thread::spawn(move || {
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(test);
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Two links, their far ends in the same namespace: 192.0.2.1/24 and 2001:db8::1/64, 198.51.100.1/24.
struct Net {
    handle: rtnetlink::Handle,
    d0: u32,
    d1: u32,
}

impl Net {
    async fn new() -> Self {
        let (connection, handle, _messages) = rtnetlink::new_connection().unwrap();
        tokio::spawn(connection);
        for (name, far) in [("scd0", "scp0"), ("scd1", "scp1")] {
            let pair = LinkVeth::new(name, far).up().build();
            handle.link().add(pair).execute().await.unwrap();
            let up = LinkUnspec::new_with_index(index_of(far)).up().build();
            handle.link().set(up).execute().await.unwrap();
        }
        let net = Self {
            handle,
            d0: index_of("scd0"),
            d1: index_of("scd1"),
        };
        net.address(net.d0, "192.0.2.1", 24).await;
        net.address(net.d0, "2001:db8::1", 64).await;
        net.address(net.d1, "198.51.100.1", 24).await;
        net
    }

    async fn set(&self, index: u32, up: bool) {
        let link = LinkUnspec::new_with_index(index);
        let link = if up { link.up() } else { link.down() };
        self.handle.link().set(link.build()).execute().await.unwrap();
    }

    async fn delete(&self, index: u32) {
        self.handle.link().del(index).execute().await.unwrap();
    }

    async fn address(&self, index: u32, address: &str, length: u8) {
        let add = self
            .handle
            .address()
            .add(index, address.parse().unwrap(), length)
            .replace();
        add.execute().await.unwrap();
    }

    async fn drop_address(&self, index: u32, address: &str) {
        use netlink_packet_route::AddressFamily;
        use netlink_packet_route::address::{AddressAttribute, AddressMessage};
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = 24;
        message.header.index = index;
        message
            .attributes
            .push(AddressAttribute::Local(address.parse().unwrap()));
        self.handle.address().del(message).execute().await.unwrap();
    }

    /// A blackhole of somebody's.
    fn by_hand(&self, protocol: u8, prefix: &str, metric: u32, action: Action) {
        self.run(protocol, prefix, metric, (action, Form::from([])));
    }

    fn through(&self, protocol: u8, prefix: &str, interface: u32) {
        let form = Form::from([Hop {
            interface,
            gateway: None,
            weight: 1,
            onlink: false,
        }]);
        self.run(protocol, prefix, 0, (Action::Create, form));
    }

    fn run(&self, protocol: u8, prefix: &str, metric: u32, (action, form): (Action, Form)) {
        let key = (TableId::MAIN, prefix.parse().unwrap());
        let operation = Operation::Route(RouteOperation::by_hand(
            key,
            metric,
            action,
            form,
            Stamp::plain(protocol),
        ));
        let answers = Requests::open().unwrap().run(protocol, &[operation]).unwrap();
        assert_eq!(
            answers.results[0],
            Ok(()),
            "{prefix} {action:?} {:?}",
            answers.text
        );
    }
}

/// A namespace with its links, and an edge in it that installs.
async fn started() -> (Net, Daemon) {
    let net = Net::new().await;
    let daemon = Daemon::start(Some(settings()), &[]).await;
    (net, daemon)
}

/// A running edge, and the far ends of its channels.
struct Daemon {
    handle: KernelHandle,
    updates: mpsc::Sender<FibUpdate>,
    table: mpsc::Receiver<KernelTableChange>,
}

impl Daemon {
    async fn start(settings: Option<Settings>, imported: &[TableId]) -> Self {
        let (updates, update_queue) = mpsc::channel(16);
        let (reachability, _) = mpsc::channel(16);
        let (table_sender, table) = mpsc::channel(16);
        let setup = Setup {
            settings,
            imported: imported.iter().copied().collect(),
            stale_after: Duration::from_secs(3_600),
        };
        let handle = spawn(
            setup,
            update_queue,
            Edges {
                reachability,
                table: table_sender,
            },
        );
        handle.first_dump_done().await;
        Self {
            handle,
            updates,
            table,
        }
    }

    /// As in [`crate::kernel::lab::Lab::want`].
    async fn want<S: AsRef<str>>(&mut self, wants: &[S]) {
        let change = |text: &S| {
            let mut words = text.as_ref().split_whitespace();
            let prefix = words.next().unwrap().parse().unwrap();
            let next_hops: smallvec::SmallVec<_> = words.map(next_hop).collect();
            let route = (!next_hops.is_empty()).then(|| {
                Arc::new(FibRoute {
                    table: TableId::UNSPECIFIED,
                    next_hops,
                    local_pref: 100,
                    external: false,
                    blackhole: false,
                })
            });
            FibChange {
                table: TableId::UNSPECIFIED,
                left: None,
                prefix,
                route,
            }
        };
        self.updates
            .send(FibUpdate::Changes(wants.iter().map(change).collect()))
            .await
            .unwrap();
    }

    async fn complete(&mut self) {
        for family in [Family::IPV4_UNICAST, Family::IPV6_UNICAST] {
            self.updates.send(FibUpdate::Complete(family)).await.unwrap();
        }
    }

    async fn until(&mut self, reached: impl Fn(&Status) -> bool) -> Status {
        let deadline = now() + PATIENCE;
        loop {
            let status = self.handle.status().await.unwrap();
            if reached(&status) {
                return status;
            }
            assert!(
                now() < deadline,
                "waited too long: {status:?}\n{}",
                ours().join("\n")
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until all updates sent are taken and so many routes are installed.
    async fn until_quiet(&mut self, installed: u64) {
        let all = self.updates.max_capacity();
        let deadline = now() + PATIENCE;
        while self.updates.capacity() < all {
            assert!(now() < deadline, "updates are not taken");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self.until(|status| status.routes.installed == installed).await;
    }

    async fn imported(&mut self) -> KernelTableChange {
        tokio::time::timeout(PATIENCE, self.table.recv())
            .await
            .expect("no change is imported")
            .unwrap()
    }

    async fn until_imported(&mut self, wanted: &str) -> (Option<crate::route::KernelRoute>, Vec<String>) {
        let mut seen = Vec::new();
        loop {
            let change = self.imported().await;
            let (text, route) = match change {
                KernelTableChange::Full(routes) => (format!("={}", routes.len()), None),
                KernelTableChange::Added(route) => (format!("+{}", route.prefix), Some(route)),
                KernelTableChange::Removed { prefix, .. } => (format!("-{prefix}"), None),
            };
            seen.push(text.clone());
            if text == wanted {
                return (route, seen);
            }
        }
    }
}

fn index_of(name: &str) -> u32 {
    let links = Requests::open().unwrap().dump(DumpScope::Links).unwrap();
    let index = links.into_iter().find_map(|message| match message {
        Message::Link(Verb::New, link) if &*link.name == name => Some(link.index),
        _ => None,
    });
    index.unwrap()
}

/// Nexthop objects of ours in the kernel.
fn objects() -> Vec<crate::kernel::wire::Nexthop> {
    let all = Requests::open().unwrap().dump(DumpScope::Nexthops).unwrap();
    let all = all.into_iter().filter_map(|message| match message {
        Message::Nexthop(Verb::New, nexthop) => Some(nexthop),
        _ => None,
    });
    all.filter(|nexthop| nexthop.protocol == OURS).collect()
}

fn ours() -> Vec<String> {
    of_protocol(OURS)
}

/// What the kernel's main table holds of a protocol, hops in order.
fn of_protocol(protocol: u8) -> Vec<String> {
    let mut requests = Requests::open().unwrap();
    let mut routes = Vec::new();
    for ipv6 in [false, true] {
        for message in requests
            .dump(DumpScope::Routes {
                table: TableId::MAIN,
                ipv6,
                interface: None,
            })
            .unwrap()
        {
            if let Message::Route(Verb::New, _, mut found) = message
                && found.protocol == protocol
            {
                found
                    .hops
                    .sort_unstable_by_key(|hop| (hop.gateway, hop.interface));
                if found.kind == route("0.0.0.0/0").kind {
                    found.hops.clear();
                }
                routes.push(show(&found));
            }
        }
    }
    routes.sort();
    routes
}
