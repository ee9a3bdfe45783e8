//! `[[prefix_set]]`, `[[community_set]]` and `[[as_path_set]]`: lists that filters name.

use std::path::PathBuf;
use std::sync::Arc;

use super::keys;
use crate::config::scalar;
use crate::config::schema::{
    AS_PATH_PATTERNS, COMMUNITY_PATTERNS, EXTENDED_COMMUNITY_PATTERNS, LARGE_COMMUNITY_PATTERNS, LIVE, NAME,
    NONE, PATH, PREFIX_PATTERNS, REQUIRED,
};
use crate::policy::{
    AsPathPattern, CommunityPattern, ExtendedCommunityPattern, LargeCommunityPattern, PrefixPattern,
};

keys! {
    /// `[[prefix_set]]`.
    PrefixSetKeys in "[[prefix_set]]" {
        /// Unique among prefix sets.
        name: Arc<str> = scalar::name => NAME, REQUIRED, LIVE;
        /// Prefixes, as in the condition `prefix`.
        prefixes: Vec<PrefixPattern> = scalar::prefix_patterns => PREFIX_PATTERNS, NONE, LIVE;
        /// File with more of them, one a line; what follows a `#` is a comment. A relative path starts at the directory of
        /// the file that names it. Read again at each reload.
        file: PathBuf = scalar::path => PATH, NONE, LIVE;
    }
}

keys! {
    /// `[[community_set]]`.
    CommunitySetKeys in "[[community_set]]" {
        /// Unique among community sets.
        name: Arc<str> = scalar::name => NAME, REQUIRED, LIVE;
        /// Communities, as in the condition of this name.
        community: Vec<CommunityPattern> = scalar::community_patterns => COMMUNITY_PATTERNS, NONE, LIVE;
        /// Large communities, likewise.
        large_community: Vec<LargeCommunityPattern> = scalar::large_community_patterns
            => LARGE_COMMUNITY_PATTERNS, NONE, LIVE;
        /// Extended communities, likewise.
        extended_community: Vec<ExtendedCommunityPattern> = scalar::extended_community_patterns
            => EXTENDED_COMMUNITY_PATTERNS, NONE, LIVE;
    }
}

keys! {
    /// `[[as_path_set]]`.
    AsPathSetKeys in "[[as_path_set]]" {
        /// Unique among AS-path sets.
        name: Arc<str> = scalar::name => NAME, REQUIRED, LIVE;
        /// Patterns, as in the condition `as_path`.
        patterns: Vec<AsPathPattern> = scalar::as_path_patterns => AS_PATH_PATTERNS, REQUIRED, LIVE;
    }
}
