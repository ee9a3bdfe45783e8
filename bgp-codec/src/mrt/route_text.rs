//! The attributes of a route on one line.

use std::fmt::{self, Write as _};

use crate::attribute::{AsPath, Attributes, Origin, PathAttributes};
use crate::community::Community;
use crate::next_hop::NextHop;

/// What `bgpdump -m` prints behind a prefix: AS path, origin, next hop, LOCAL_PREF, MED, communities, `AG` or `NAG`, and
/// aggregator, with `|` behind each. It is put together once, however often it is printed.
///
/// ```
/// use bgp_codec::mrt::RouteText;
/// use bgp_codec::{Attributes, PathAttributes};
/// let owned = PathAttributes { as_path: "64512 64513".parse()?, med: Some(10), ..PathAttributes::default() };
/// # let mut block = Vec::new();
/// # owned.encode_canonical(&mut block);
/// # let attributes = Attributes::from_canonical(&block);
/// let text = RouteText::new(&attributes, Some([192, 0, 2, 1].into()));
/// assert_eq!(text.to_string(), "64512 64513|IGP|192.0.2.1|0|10||NAG||");
/// # Ok::<(), bgp_codec::ParseAsPathError>(())
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RouteText(String);

impl RouteText {
    /// Of attributes and a next hop, which may stand outside of them. Two-octet AS numbers are merged with their four-octet
    /// companions (RFC 6793 §4.2.3).
    ///
    /// ```
    /// use bgp_codec::mrt::RouteText;
    /// use bgp_codec::Attributes;
    /// let attributes = Attributes::from_canonical(&[0x40, 1, 1, 2, 0x40, 6, 0]);
    /// assert_eq!(RouteText::new(&attributes, None).to_string(), "|INCOMPLETE||0|0||AG||");
    /// ```
    #[must_use]
    pub fn new(attributes: &Attributes<'_>, next_hop: Option<NextHop>) -> Self {
        let mut text = String::with_capacity(128);
        // Writing into a string does not fail.
        let _written = write(attributes, next_hop, &mut text).is_ok();
        Self(text)
    }
}

impl fmt::Display for RouteText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn write(attributes: &Attributes<'_>, next_hop: Option<NextHop>, out: &mut String) -> fmt::Result {
    let mut aggregator = attributes.aggregator();
    if attributes.four_octet {
        write!(out, "{}", attributes.as_path().unwrap_or(AsPath::EMPTY))?;
    } else {
        let merged = PathAttributes::from(attributes);
        write!(out, "{}", merged.as_path)?;
        aggregator = merged.aggregator;
    }
    out.push_str(match attributes.origin().unwrap_or(Origin::Incomplete) {
        Origin::Igp => "|IGP|",
        Origin::Egp => "|EGP|",
        Origin::Incomplete => "|INCOMPLETE|",
    });
    if let Some(next_hop) = next_hop {
        write!(out, "{}", next_hop.address())?;
    }
    let (local_pref, med) = (
        attributes.local_pref().unwrap_or(0),
        attributes.med().unwrap_or(0),
    );
    write!(out, "|{local_pref}|{med}|")?;
    for (index, community) in attributes.communities().iter().enumerate() {
        out.push_str(if index > 0 { " " } else { "" });
        match community {
            Community::NO_EXPORT => out.push_str("no-export"),
            Community::NO_ADVERTISE => out.push_str("no-advertise"),
            Community::NO_EXPORT_SUBCONFED => out.push_str("local-AS"),
            // The other names are younger than the form.
            other => {
                let (asn, value) = other.parts();
                write!(out, "{asn}:{value}")?;
            }
        }
    }
    out.push_str(if attributes.atomic_aggregate() {
        "|AG|"
    } else {
        "|NAG|"
    });
    if let Some(aggregator) = aggregator {
        write!(out, "{aggregator}")?;
    }
    out.push('|');
    Ok(())
}
