//! The word that was probably meant.

/// The candidate nearest to what was written, if any is near enough to be a slip of it.
pub(super) fn nearest<'a>(written: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let written = normal(written);
    let allowed = (written.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&written, &normal(candidate)),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// What other daemons call our keys.
const FOREIGN: &[(&str, &str)] = &[
    ("neighbor", "peer"),
    ("neighbour", "peer"),
    ("neighbors", "peer"),
    ("bgp", "speaker"),
    ("router", "speaker"),
    ("protocol", "peer"),
    ("template", "peer_group"),
    ("local_as", "asn"),
    ("remote_as", "asn"),
    ("peer_as", "asn"),
    ("neighbor_as", "asn"),
    ("as", "asn"),
    ("remote_address", "address"),
    ("neighbor_address", "address"),
    ("local_address", "source_address"),
    ("update_source", "source_address"),
    ("holdtime", "hold_time"),
    ("keepalive", "keepalive_time"),
    ("route_reflector_client", "rr_client"),
    ("route_map", "import"),
    ("distribute_list", "import"),
    ("filter_list", "import"),
    ("policy", "import"),
    ("route_map_in", "import"),
    ("route_map_out", "export"),
    ("import_policy", "import"),
    ("export_policy", "export"),
    ("maximum_prefix", "max_prefixes"),
    ("import_limit", "max_prefixes"),
    ("prefix_limit", "max_prefixes"),
    ("auth_password", "password_file"),
    ("password", "password_file"),
    ("md5_password", "password_file"),
    ("ebgp_multihop", "multihop"),
    ("bgp_listen_range", "listen_range"),
    ("prefix_list", "prefix_set"),
    ("community_list", "community_set"),
    ("as_path_list", "as_path_set"),
    ("terms", "rules"),
    ("then", "action"),
    ("interface_name", "interface"),
    ("link_interface", "interface"),
    ("route_server", "route_server_client"),
    ("rs_client", "route_server_client"),
    ("next_hop_self", "next_hop"),
    ("nexthop", "next_hop"),
    ("hold_timer", "hold_time"),
    ("timers", "hold_time"),
    ("ttl", "multihop"),
    ("gtsm", "ttl_security"),
    ("add_paths", "add_path"),
    ("additional_paths", "add_path"),
    ("afi_safis", "families"),
    ("address_family", "families"),
    ("address_families", "families"),
    ("cluster", "cluster_id"),
    ("id", "router_id"),
    ("as_number", "asn"),
    ("peer_group", "group"),
    ("inherit", "group"),
    ("desc", "description"),
    ("networks", "prefixes"),
    ("network", "prefixes"),
    ("url", "http"),
    ("timeout_ms", "timeout"),
    ("localpref", "local_pref"),
    ("local_preference", "local_pref"),
    ("metric", "med"),
];

/// The key that was meant: a slip of it, or its name elsewhere.
pub(super) fn meant<'a>(written: &str, keys: impl IntoIterator<Item = &'a str> + Clone) -> Option<&'a str> {
    translated(written, keys.clone()).or_else(|| nearest(written, keys))
}

/// Our key for what has another name elsewhere.
pub(super) fn translated<'a>(written: &str, keys: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = normal(written);
    let named = |key: &&str| {
        FOREIGN
            .iter()
            .any(|(foreign, ours)| *foreign == plain && ours == key)
    };
    keys.into_iter().find(named)
}

/// `Hold-Time` and `hold_time` are one word to somebody who looks for it.
fn normal(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

/// `a, b or c`.
pub(super) fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, first)) => format!("{} or {last}", first.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let words = ["hold_time", "password_file", "import", "export"];
        for (written, meant) in [
            ("hold-time", Some("hold_time")),
            ("holdtime", Some("hold_time")),
            ("pasword_file", Some("password_file")),
            ("ipmort", Some("import")),
            ("neighbor", None),
            ("x", None),
        ] {
            assert_eq!(nearest(written, words), meant, "{written}");
        }
    }

    #[test]
    fn words_are_listed_as_people_do() {
        assert_eq!(one_of(["a"]), "`a`");
        assert_eq!(one_of(["a", "b", "c"]), "`a`, `b` or `c`");
    }
}
