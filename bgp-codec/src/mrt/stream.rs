//! MRT files as streams: records are read from any reader and written to any writer, through one buffer.

use std::io;

use super::{HEADER_LEN, Record, length};

/// Octets that are read at once; a longer record makes the buffer grow.
const CHUNK: usize = 256 * 1024;
/// Octets that are read first; from there on twice as many each time.
const FIRST_CHUNK: usize = 8 * 1024;

/// Reads records one after the other; each borrows from the buffer and is copied nowhere.
///
/// ```
/// use bgp_codec::mrt::{Reader, Record};
/// let file: &[u8] = &[0; 24];
/// let mut reader = Reader::new(file);
/// let mut records = 0;
/// while let Some(record) = reader.next_record()? {
///     assert_eq!(record.kind, 0);
///     records += 1;
/// }
/// assert_eq!(records, 2);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    buffer: Vec<u8>,
    /// What of the buffer has been read and not been given out.
    start: usize,
    end: usize,
}

impl<R: io::Read> Reader<R> {
    /// Reads from `source`, which needs no buffer of its own.
    ///
    /// ```
    /// let mut reader = bgp_codec::mrt::Reader::new(std::io::empty());
    /// assert!(reader.next_record()?.is_none());
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub const fn new(source: R) -> Self {
        Self {
            source,
            buffer: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    /// The next record; `None` at the end of the file.
    ///
    /// ```
    /// let mut reader = bgp_codec::mrt::Reader::new(&[0_u8; 13][..]);
    /// assert!(reader.next_record().is_ok_and(|record| record.is_some()));
    /// assert!(reader.next_record().is_err(), "the file ends inside a record");
    /// ```
    ///
    /// # Errors
    ///
    /// As the source; [`io::ErrorKind::InvalidData`] for a record longer than [`MAX_RECORD`](super::MAX_RECORD), and
    /// [`io::ErrorKind::UnexpectedEof`] for a file that ends inside a record.
    pub fn next_record(&mut self) -> io::Result<Option<Record<'_>>> {
        if !self.fill(HEADER_LEN)? {
            return if self.start == self.end {
                Ok(None)
            } else {
                Err(io::ErrorKind::UnexpectedEof.into())
            };
        }
        let Some(&[.., a, b, c, d]) = self.waiting().first_chunk::<HEADER_LEN>() else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let whole = length(u32::from_be_bytes([a, b, c, d]))
            .map_err(invalid)?
            .saturating_add(HEADER_LEN);
        if !self.fill(whole)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let begin = self.start;
        self.start = begin.saturating_add(whole);
        let octets = self.buffer.get(begin..self.start).unwrap_or_default();
        let record = Record::split(octets).map_err(invalid)?;
        Ok(record.map(|(record, _)| record))
    }

    fn waiting(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// Reads until that many octets wait; `false` if the source ends before.
    fn fill(&mut self, wanted: usize) -> io::Result<bool> {
        while self.end.saturating_sub(self.start) < wanted {
            if self.buffer.len().saturating_sub(self.start) < wanted {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end = self.end.saturating_sub(self.start);
                self.start = 0;
                // No record is longer than `MAX_RECORD`. A small file takes a small buffer.
                let len = self
                    .buffer
                    .len()
                    .saturating_mul(2)
                    .clamp(FIRST_CHUNK, CHUNK)
                    .max(wanted);
                if self.buffer.len() < len {
                    self.buffer.resize(len, 0);
                }
            }
            let free = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.source.read(free) {
                Ok(0) => return Ok(false),
                Ok(read) => self.end = self.end.saturating_add(read),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// Writes records one after the other to any writer.
///
/// ```
/// use bgp_codec::{Asn, mrt};
/// let session = mrt::Session::new(Asn(64_512), Asn(64_513), [192, 0, 2, 1].into(), [192, 0, 2, 2].into());
/// let change = mrt::StateChange { session, from: 5, to: 6 };
/// let mut writer = mrt::Writer::new(Vec::new());
/// writer.record(|out| change.encode(1_700_000_000, out))?;
/// let file = writer.into_inner();
///
/// let mut reader = mrt::Reader::new(&file[..]);
/// let record = reader.next_record()?.ok_or("no record")?;
/// assert_eq!(record.parse()?, mrt::Entry::StateChange(change));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Writer<W> {
    sink: W,
    buffer: Vec<u8>,
}

impl<W: io::Write> Writer<W> {
    /// Writes to `sink`, each record at once.
    ///
    /// ```
    /// let writer = bgp_codec::mrt::Writer::new(Vec::new());
    /// assert!(writer.into_inner().is_empty());
    /// ```
    pub const fn new(sink: W) -> Self {
        Self {
            sink,
            buffer: Vec::new(),
        }
    }

    /// Writes what `encode` appends: one record or several, as the `encode` functions of this module make them.
    ///
    /// ```
    /// use bgp_codec::mrt::{PeerIndexTable, Writer};
    /// let mut writer = Writer::new(Vec::new());
    /// writer.record(|out| PeerIndexTable::encode([192, 0, 2, 1].into(), &[], 0, out))?;
    /// assert_eq!(writer.into_inner().len(), 12 + 8);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As the sink.
    pub fn record(&mut self, encode: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        self.buffer.clear();
        encode(&mut self.buffer);
        self.sink.write_all(&self.buffer)
    }

    /// Gives the sink back.
    ///
    /// ```
    /// let sink: Vec<u8> = bgp_codec::mrt::Writer::new(Vec::new()).into_inner();
    /// # assert!(sink.is_empty());
    /// ```
    pub fn into_inner(self) -> W {
        self.sink
    }
}
