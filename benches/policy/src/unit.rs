//! Reloads of filters on one shard, without sockets: how long each piece of work takes, and how long all of it.
//!
//! The shard does its work in slices between which it takes input in; a slice is what makes everybody wait. Counted is the
//! time that the thread was running, so that a busy machine does not count.

use std::sync::Arc;
use std::time::Duration;

use bgp_codec::{Asn, Community};
use nix::time::{ClockId, clock_gettime};
use stonechat_bench_rib::policy::{
    Action, Chain, Condition, Edit, Edits, Fallthrough, Filter, Location, PrefixPattern, Rule,
};
use stonechat_bench_rib::rib::interface::{Input, Output, PeerPolicy};
use stonechat_bench_rib::route::PeerId;
use stonechat_bench_rib::tables::Table;
use stonechat_bench_rib::world::{World, peer};

const PEERS: u32 = 100;
const ROUTES: usize = 100_000;

pub fn run() {
    println!("unit: a shard with {PEERS} peers and {ROUTES} routes; CPU time of its thread");
    for routes in [ROUTES, 10 * ROUTES] {
        let mut shard = Shard::loaded(routes);
        println!("  {routes} routes:");
        let half = dropping("0.0.0.0/0 ge 1 le 23");
        shard.reload("one peer, a filter that drops most", &[1], &half);
        shard.reload("and back", &[1], &Chain::accept_all());
        shard.reload("one peer, a filter that sets a community", &[2], &marking(1));
        shard.reload("another community", &[2], &marking(2));
        shard.reload("all peers, a filter that sets a community", &all(), &marking(3));
        shard.reload("all peers, back", &all(), &Chain::accept_all());
        shard.reimport("import of the peer that sent them, LOCAL_PREF set");
    }
}

fn all() -> Vec<u32> {
    (1..=PEERS).collect()
}

struct Shard {
    world: World,
}

/// What one reload took.
#[derive(Default)]
struct Cost {
    longest: Duration,
    total: Duration,
    slices: u32,
    /// Which piece was the longest.
    at: u32,
    /// Octets sent to all peers.
    octets: usize,
}

impl Shard {
    fn loaded(routes: usize) -> Self {
        let mut world = World::new();
        let feeder = world.up(peer(0, false));
        for n in 1..=PEERS {
            world.up(peer(n, false));
        }
        let table = Table::new(routes, routes / 6);
        let buffers = table.encode(None, [10, 0, 0, 0].into(), 0);
        world.feed(vec![(feeder, buffers.into_iter())]);
        Self { world }
    }

    fn reload(&mut self, what: &str, peers: &[u32], export: &Chain) {
        let policy = |n: u32| PeerPolicy {
            export: export.clone(),
            ..peer(n, false).policy
        };
        let inputs = peers.iter().map(|n| (*n, policy(*n)));
        self.measure(what, inputs.collect());
    }

    fn reimport(&mut self, what: &str) {
        let policy = PeerPolicy {
            import: editing(vec![Edit::LocalPref(200)]),
            ..peer(0, false).policy
        };
        self.measure(what, vec![(0, policy)]);
    }

    fn measure(&mut self, what: &str, policies: Vec<(u32, PeerPolicy)>) {
        let mut cost = Cost::default();
        for (n, policy) in policies {
            let reconfigure = Input::Reconfigure {
                peer: PeerId {
                    index: n,
                    generation: 1,
                },
                policy: Box::new(policy),
            };
            self.handle(reconfigure, &mut cost);
        }
        while self.world.rib.next_deadline().is_some_and(|at| at <= self.world.now()) {
            self.handle(Input::Tick, &mut cost);
        }
        println!(
            "    {what}: longest {:.2} ms (number {} of {} pieces), {:.0} ms in all, {} octets sent",
            cost.longest.as_secs_f64() * 1e3,
            cost.at,
            cost.slices,
            cost.total.as_secs_f64() * 1e3,
            cost.octets
        );
    }

    /// One piece of work, and what follows from the sessions having taken what it put out.
    fn handle(&mut self, input: Input, cost: &mut Cost) {
        let now = self.world.now();
        let rib = &mut self.world.rib;
        let begun = cpu_time();
        rib.handle(input, now);
        let took = cpu_time().saturating_sub(begun);
        if took > cost.longest {
            (cost.longest, cost.at) = (took, cost.slices);
        }
        cost.total += took;
        cost.slices += 1;
        let mut credits = Vec::new();
        while let Some(output) = rib.poll_output() {
            if let Output::Send { peer, chunks } = output {
                credits.push((peer, chunks.iter().map(|chunk| chunk.bytes.len()).sum()));
            }
        }
        for (peer, bytes) in credits {
            cost.octets += bytes;
            rib.handle(Input::Credit { peer, bytes }, now);
        }
    }
}

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

fn dropping(pattern: &str) -> Chain {
    let set = std::iter::once(pattern.parse::<PrefixPattern>().expect("a pattern")).collect();
    chain(Condition::Prefix(set), Vec::new())
}

fn marking(value: u16) -> Chain {
    editing(vec![Edit::AddCommunities(vec![Community::new(64_512, value)]), Edit::Prepend {
        asn: Some(Asn(64_512)),
        count: 1,
    }])
}

fn editing(edits: Vec<Edit>) -> Chain {
    chain(Condition::always(), edits)
}

fn chain(condition: Condition, edits: Vec<Edit>) -> Chain {
    let place = || {
        Location {
            file: "bench".into(),
            line: 1,
        }
        .into()
    };
    let rule = Rule {
        location: place(),
        condition,
        action: Action::Accept,
        edits: Edits::new(edits),
    };
    Chain::new(vec![Arc::new(Filter {
        name: "bench".into(),
        rules: vec![rule],
        default: Fallthrough::Reject,
        location: place(),
    })])
}
