//! Limits of a peer count what all shards hold together: two and four close a session where one does.

use super::random::Dice;
use super::*;

const LIMIT: u32 = 40;
const PREFIXES: u32 = 80;

fn limited(accepted: bool) -> Peer {
    let mut peer = client(1);
    if accepted {
        peer.policy.max_prefixes_accepted = Some(LIMIT);
    } else {
        peer.policy.max_prefixes = Some(LIMIT);
    }
    peer
}

fn labs(shards: u16, peer: &Peer) -> Vec<Lab> {
    let ribs = Rib::shards(&settings(), shards).into_iter();
    let lab = |rib| {
        let mut lab = Lab {
            rib,
            ..Lab::new(settings())
        };
        lab.connect(peer.clone(), true);
        lab
    };
    ribs.map(lab).collect()
}

/// How many shards want the session closed.
fn closed(labs: &[Lab], id: PeerId) -> usize {
    labs.iter()
        .filter(|lab| lab.remotes[&id].closed.is_some())
        .count()
}

#[test]
fn the_one_too_many_is_found_wherever_it_belongs() {
    for shards in [1, 2, 4] {
        for accepted in [false, true] {
            let peer = limited(accepted);
            let mut labs = labs(shards, &peer);
            let all = many(PREFIXES);
            let (first, rest) = all.split_at(LIMIT as usize);
            labs.iter_mut()
                .for_each(|lab| lab.announce_nlri(peer.id, &via("10.0.0.1"), first));
            // Replacements are not new, and what was withdrawn leaves room.
            labs.iter_mut().for_each(|lab| {
                lab.announce_nlri(peer.id, &via("10.0.0.1"), first);
                lab.withdraw_nlri(peer.id, &first[..7]);
            });
            labs.iter_mut()
                .for_each(|lab| lab.announce_nlri(peer.id, &via("10.0.0.1"), &rest[..7]));
            assert_eq!(closed(&labs, peer.id), 0, "{shards} shards");
            labs.iter_mut()
                .for_each(|lab| lab.announce_nlri(peer.id, &via("10.0.0.1"), &rest[7..8]));
            assert_eq!(closed(&labs, peer.id), 1, "{shards} shards");
        }
    }
}

/// The session comes back: what it had before does not count any more.
#[test]
fn a_new_session_counts_from_nothing() {
    let peer = limited(false);
    let mut labs = labs(4, &peer);
    for _ in 0..3 {
        for lab in &mut labs {
            lab.announce_nlri(peer.id, &via("10.0.0.1"), &many(LIMIT));
            lab.settle();
        }
        assert_eq!(closed(&labs, peer.id), 0);
        for lab in &mut labs {
            lab.input(Input::PeerDown {
                peer: peer.id,
                routes: DownRoutes::Flush,
            });
            lab.settle();
            lab.remotes.remove(&peer.id);
        }
        for lab in &mut labs {
            lab.connect(peer.clone(), true);
        }
    }
}

#[test]
fn random_announcements_meet_the_limit_at_the_same_message() {
    let peer = limited(false);
    for seed in 0..40 {
        let mut dice = Dice::new(seed);
        let mut speakers: Vec<Vec<Lab>> = [1, 2, 4].map(|shards| labs(shards, &peer)).into();
        for step in 0..200 {
            let from = dice.roll(PREFIXES.into()) as usize;
            let count = 1 + dice.roll(12) as usize;
            let nlri = &many(PREFIXES)[from..(PREFIXES as usize).min(from + count)];
            let withdraws = dice.roll(2) == 0;
            for lab in speakers.iter_mut().flatten() {
                if withdraws {
                    lab.withdraw_nlri(peer.id, nlri);
                } else {
                    lab.announce_nlri(peer.id, &via("10.0.0.1"), nlri);
                }
            }
            let closed: Vec<bool> = speakers.iter().map(|labs| closed(labs, peer.id) > 0).collect();
            assert!(
                closed.iter().all(|at| *at == closed[0]),
                "seed {seed}, step {step}: {closed:?}"
            );
            if closed[0] {
                break;
            }
        }
    }
}
