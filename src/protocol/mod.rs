//! WeChat's wire protocol, pure: the query, the signatures, the cipher, the envelope, the XML.
//!
//! Everything here is synchronous and total: bytes in, a value or an error out. Does not depend on the clock, randomness,
//! HTTP, JSON, Kafka and what a card is; time and random bytes are arguments.
//! `sign` stands beside `verify` and `seal` beside `open`, so that tests and the simulator make real pushes;
//! `compose` writes the envelopes around them.

mod age;
mod callback;
mod cipher;
mod compose;
mod credentials;
mod envelope;
mod evidence;
mod signature;
mod xml;

pub use age::{Age, age};
pub use callback::{Query, QueryError};
pub use cipher::{AesKey, AppId, AppIdText, KeyError, open, seal};
pub use compose::{compat_body, secure_body};
pub use credentials::{Credentials, Generation, Mode};
pub use envelope::{Callback, Message, OpenError, VerifiedPush, VerifyError};
pub use evidence::{Evidence, Shape, Vouched, begins_as_xml, is_damaged};
pub use signature::{Digest, Token, sign};
pub(crate) use xml::USUAL_CHILDREN;
pub use xml::{Child, Document, MAX_BYTES, Value, XmlError};
