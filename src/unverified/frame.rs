//! One kept push as bytes: length, checksum, receipt, account, query, body. Pure.
//!
//! ```text
//! length u32 | checksum [u8; 8] | received_at_ms i64 | account u8 + text | query u32 + text | body
//! ```
//!
//! Numbers are little-endian; `length` counts what stands behind the checksum, which is the beginning of its SHA-1: that is
//! here already, and a file that ends within a frame, or was never wholly written, differs in it.

use std::str::from_utf8;

use sha1::{Digest as _, Sha1};

/// Length and checksum.
pub(super) const HEAD: usize = 4 + 8;
/// More than any frame that is written: the largest body is 16 MiB. A length beyond it is not one.
const LARGEST: usize = 32 << 20;

/// By which a body is known again: of the account's name and the body.
pub(super) type BodyId = [u8; 16];

/// A push, as it stands in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Push<'a> {
    pub(super) received_at_ms: i64,
    pub(super) account: &'a str,
    pub(super) query: &'a str,
    pub(super) body: &'a [u8],
}

impl<'a> Push<'a> {
    /// `None` for what no frame holds: the names of accounts and the queries of requests are shorter.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let (account, query) = (u8::try_from(self.account.len()).ok()?, u32::try_from(self.query.len()).ok()?);
        let length = 8 + 1 + self.account.len() + 4 + self.query.len() + self.body.len();
        let mut frame = Vec::with_capacity(HEAD + length);
        frame.extend_from_slice(&u32::try_from(length).ok().filter(|_| length <= LARGEST)?.to_le_bytes());
        frame.extend_from_slice(&[0; 8]);
        frame.extend_from_slice(&self.received_at_ms.to_le_bytes());
        frame.push(account);
        frame.extend_from_slice(self.account.as_bytes());
        frame.extend_from_slice(&query.to_le_bytes());
        frame.extend_from_slice(self.query.as_bytes());
        frame.extend_from_slice(self.body);
        let checksum = checksum(frame.get(HEAD..)?);
        frame.get_mut(4..HEAD)?.copy_from_slice(&checksum);
        Some(frame)
    }

    fn decode(payload: &'a [u8]) -> Option<Self> {
        let (received_at, rest) = payload.split_first_chunk()?;
        let (&[account], rest) = rest.split_first_chunk()?;
        let (account, rest) = rest.split_at_checked(account.into())?;
        let (query, rest) = rest.split_first_chunk()?;
        let (query, body) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*query)).ok()?)?;
        Some(Self {
            received_at_ms: i64::from_le_bytes(*received_at),
            account: from_utf8(account).ok()?,
            query: from_utf8(query).ok()?,
            body,
        })
    }

    pub(super) fn body_id(&self) -> BodyId {
        let digest = Sha1::new().chain_update(self.account).chain_update("\n").chain_update(self.body).finalize();
        let mut id = BodyId::default();
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        id
    }
}

/// The push at the beginning of `bytes` and how many bytes its frame takes; `None` where there is none, or not a whole one.
pub(super) fn first(bytes: &[u8]) -> Option<(Push<'_>, usize)> {
    let (length, rest) = bytes.split_first_chunk()?;
    let (expected, rest) = rest.split_first_chunk::<8>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= LARGEST)?;
    let payload = rest.get(..length)?;
    let push = Push::decode(payload).filter(|_| checksum(payload) == *expected)?;
    Some((push, HEAD + length))
}

fn checksum(payload: &[u8]) -> [u8; 8] {
    let mut checksum = [0; 8];
    checksum.iter_mut().zip(Sha1::digest(payload)).for_each(|(to, from)| *to = from);
    checksum
}

/// Where a published frame begins, as a `.done` file has it: twice, so that a torn one is seen.
pub(super) fn mark(offset: u64) -> [u8; 16] {
    let mut mark = [0; 16];
    let halves = offset.to_le_bytes().into_iter().chain((!offset).to_le_bytes());
    mark.iter_mut().zip(halves).for_each(|(to, from)| *to = from);
    mark
}

/// The offsets of a `.done` file, as far as it reads.
pub(super) fn marks(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<16>().0.iter().filter_map(|mark| {
        let (offset, check) = mark.split_first_chunk()?;
        let (offset, check) = (u64::from_le_bytes(*offset), u64::from_le_bytes(check.try_into().ok()?));
        (offset == !check).then_some(offset)
    })
}
