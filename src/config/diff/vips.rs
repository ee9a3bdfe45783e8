//! Differences of `[[vip]]` in the words of the file.

use super::describe::Differences;
use crate::vip;
use crate::vip::settings::{
    Bandwidth, Carried, Check, Damping, Dependency, Quorum, RouteDependency, Vip, WaitFor,
};

pub(super) fn vip(old: &Vip, new: &Vip) -> Differences {
    // Named one by one, so that a new setting has to be put somewhere.
    let Vip {
        name: _,
        address,
        checks: _,
        quorum,
        start,
        up,
        degraded,
        disabled,
        bandwidth,
        bind,
        require_bound,
        drain,
        group,
        depends_on,
        wait_for,
        damping,
        on_change,
        origins,
    } = old;
    let mut differences = Differences::default();
    differences.plain("address", address, &new.address);
    checks(&mut differences, &old.checks, &new.checks);
    differences.setting("at_least", quorum, &new.quorum, |quorum| match quorum {
        Quorum::All => "all".to_owned(),
        Quorum::AtLeast(count) => count.to_string(),
    });
    differences.plain("start", start, &new.start);
    carried(&mut differences, "", up, &new.up);
    graded(
        &mut differences,
        "degraded",
        degraded.as_ref(),
        new.degraded.as_ref(),
    );
    graded(
        &mut differences,
        "disabled",
        disabled.as_ref(),
        new.disabled.as_ref(),
    );
    differences.setting("bandwidth", bandwidth, &new.bandwidth, bandwidth_text);
    differences.optional("bind", bind, &new.bind);
    differences.plain("require_bound", require_bound, &new.require_bound);
    differences.debug("drain", drain, &new.drain);
    differences.optional("group", group, &new.group);
    differences.setting("depends_on", depends_on, &new.depends_on, |on| {
        let on: Vec<String> = on.iter().map(dependency).collect();
        format!("[{}]", on.join(", "))
    });
    differences.setting("wait_for", wait_for, &new.wait_for, wait_for_text);
    differences.setting("damping", damping, &new.damping, damping_text);
    differences.changed("on_change", *on_change != new.on_change);
    differences.list("origins", origins, &new.origins);
    differences
}

fn bandwidth_text(bandwidth: &Option<Bandwidth>) -> String {
    match bandwidth {
        None => "none".to_owned(),
        Some(Bandwidth::Fixed(bits)) => bits.to_string(),
        Some(Bandwidth::PerHealthy(bits)) => format!("{bits} per healthy check"),
        Some(Bandwidth::Interface(name)) => format!("that of {name}"),
    }
}

fn wait_for_text(wait_for: &WaitFor) -> String {
    let WaitFor { kernel, end_of_rib } = wait_for;
    let words = [(*kernel, "kernel"), (*end_of_rib, "end-of-rib")];
    let words: Vec<&str> = words
        .iter()
        .filter(|(on, _)| *on)
        .map(|(_, word)| *word)
        .collect();
    format!("[{}]", words.join(", "))
}

fn damping_text(damping: &Option<Damping>) -> String {
    match damping {
        None => "none".to_owned(),
        Some(Damping {
            changes,
            window,
            hold,
        }) => format!("{changes} in {window:?} for {hold:?}"),
    }
}

/// Checks have no names: the same number of them is compared one by one, else their number is told.
fn checks(differences: &mut Differences, old: &[Check], new: &[Check]) {
    match (old, new) {
        ([], [_]) => differences.note("check added"),
        ([_], []) => differences.note("check removed"),
        _ if old.len() != new.len() => differences.plain("checks", &old.len(), &new.len()),
        _ => {
            for (old, new) in old.iter().zip(new) {
                check(differences, old, new);
            }
        }
    }
}

fn check(differences: &mut Differences, old: &Check, new: &Check) {
    let asked = (vip::describe(&old.probe), vip::describe(&new.probe));
    differences.plain("check", &asked.0, &asked.1);
    // What is not told of a check, because it is long or secret.
    differences.changed("check", asked.0 == asked.1 && old.probe != new.probe);
    differences.debug("interval", &old.interval, &new.interval);
    let fast = |check: &Check| (check.fast_interval != check.interval).then_some(check.fast_interval);
    differences.setting("fast_interval", &fast(old), &fast(new), |fast| match fast {
        Some(fast) => format!("{fast:?}"),
        None => "interval".to_owned(),
    });
    differences.debug("jitter", &old.jitter, &new.jitter);
    differences.debug("timeout", &old.timeout, &new.timeout);
    differences.plain("rise", &old.rise, &new.rise);
    differences.plain("fall", &old.fall, &new.fall);
    differences.plain("on_fail", &old.on_fail, &new.on_fail);
}

fn graded(differences: &mut Differences, what: &str, old: Option<&Carried>, new: Option<&Carried>) {
    match (old, new) {
        (Some(old), Some(new)) => carried(differences, &format!("{what}."), old, new),
        (None, Some(_)) => differences.note(&format!("{what} added")),
        (Some(_), None) => differences.note(&format!("{what} removed")),
        (None, None) => {}
    }
}

fn carried(differences: &mut Differences, within: &str, old: &Carried, new: &Carried) {
    let key = |key: &str| format!("{within}{key}");
    differences.list(&key("community"), &old.communities, &new.communities);
    differences.list(
        &key("large_community"),
        &old.large_communities,
        &new.large_communities,
    );
    differences.optional(&key("med"), &old.med, &new.med);
    differences.optional(&key("local_pref"), &old.local_pref, &new.local_pref);
    differences.plain(&key("prepend"), &old.prepend, &new.prepend);
}

fn dependency(dependency: &Dependency) -> String {
    match dependency {
        Dependency::Vip(name) => format!("vip {name}"),
        Dependency::Route(RouteDependency { prefix, peers }) if peers.is_empty() => format!("route {prefix}"),
        Dependency::Route(RouteDependency { prefix, peers }) => {
            format!("route {prefix} from {}", peers.join(" or "))
        }
    }
}
