//! A record's kind and time, and the prefixes in it, as text.

use std::fmt;

use ipnet::IpNet;

use super::{BGP4MP, BGP4MP_ET, Record, TABLE_DUMP, TABLE_DUMP_V2};
use crate::nlri::Nlri;

/// What `bgpdump -m` prints at the beginning of a record's lines: the kind of record, `|`, and when it was recorded, with
/// microseconds in the extended form.
///
/// ```
/// use bgp_codec::mrt::{Record, RecordText};
/// let record = Record { timestamp_s: 1_700_000_000, microseconds: 250, kind: 17, subtype: 9, body: &[] };
/// assert_eq!(RecordText::new(&record).to_string(), "BGP4MP_ET_AP|1700000000.000250");
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RecordText {
    kind: u16,
    subtype: u16,
    timestamp_s: u32,
    microseconds: u32,
}

impl RecordText {
    /// Of a record, which need not be read.
    ///
    /// ```
    /// use bgp_codec::mrt::{Record, RecordText};
    /// let record = Record { timestamp_s: 7, microseconds: 0, kind: 13, subtype: 2, body: &[] };
    /// assert_eq!(RecordText::new(&record).to_string(), "TABLE_DUMP2|7");
    /// ```
    #[must_use]
    pub const fn new(record: &Record<'_>) -> Self {
        Self {
            kind: record.kind,
            subtype: record.subtype,
            timestamp_s: record.timestamp_s,
            microseconds: record.microseconds,
        }
    }

    /// A prefix of the record, with `|` and its path identifier behind it where the record has some.
    ///
    /// ```
    /// use bgp_codec::Nlri;
    /// use bgp_codec::mrt::{Record, RecordText};
    /// let mut record = Record { timestamp_s: 7, microseconds: 0, kind: 13, subtype: 8, body: &[] };
    /// let nlri = Nlri { path_id: 3, prefix: "192.0.2.0/24".parse()? };
    /// assert_eq!(RecordText::new(&record).prefix(nlri).to_string(), "192.0.2.0/24|3");
    /// record.subtype = 2;
    /// assert_eq!(RecordText::new(&record).prefix(nlri).to_string(), "192.0.2.0/24");
    /// # Ok::<(), ipnet::AddrParseError>(())
    /// ```
    #[must_use]
    pub const fn prefix(self, nlri: Nlri<IpNet>) -> impl fmt::Display {
        PrefixText {
            nlri,
            add_path: self.add_path(),
        }
    }

    /// RFC 8050 §3, §4.
    const fn add_path(self) -> bool {
        matches!(
            (self.kind, self.subtype),
            (BGP4MP | BGP4MP_ET, 8..=11) | (TABLE_DUMP_V2, 8..=12)
        )
    }

    /// RFC 6396 §4.4.3, RFC 8050 §3.
    const fn sent(self) -> bool {
        matches!((self.kind, self.subtype), (BGP4MP | BGP4MP_ET, 6 | 7 | 10 | 11))
    }
}

impl fmt::Display for RecordText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            BGP4MP => f.write_str("BGP4MP")?,
            BGP4MP_ET => f.write_str("BGP4MP_ET")?,
            TABLE_DUMP => f.write_str("TABLE_DUMP")?,
            TABLE_DUMP_V2 => f.write_str("TABLE_DUMP2")?,
            other => write!(f, "TYPE_{other}")?,
        }
        f.write_str(if self.sent() { "_LOCAL" } else { "" })?;
        f.write_str(if self.add_path() { "_AP" } else { "" })?;
        write!(f, "|{}", self.timestamp_s)?;
        if self.kind == BGP4MP_ET {
            write!(f, ".{:06}", self.microseconds)?;
        }
        Ok(())
    }
}

struct PrefixText {
    nlri: Nlri<IpNet>,
    add_path: bool,
}

impl fmt::Display for PrefixText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.nlri.prefix, f)?;
        if self.add_path {
            write!(f, "|{}", self.nlri.path_id)?;
        }
        Ok(())
    }
}
