//! Invented people and numbers, different in every run and for every customer of a run.

/// Makes the customers of one run.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Customers {
    seed: u64,
}

/// A user with a card, and the numbers that WeChat would invent along the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Customer {
    /// 28 characters, as WeChat's.
    pub(in crate::cli) openid: String,
    /// 12 digits, often with leading zeros.
    pub(in crate::cli) code: String,
    /// To whom the customer gives a card.
    pub(super) friend: String,
    /// Of a gift card or a coin order.
    pub(super) order_id: String,
    /// A WeChat Pay transaction: 28 digits.
    pub(super) trans_id: String,
}

const ID_ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";
const CODES: u64 = 1_000_000_000_000;

impl Customers {
    /// Customers of a run; another `seed` makes others.
    pub(in crate::cli) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The customer of this number.
    pub(in crate::cli) fn customer(self, number: u64) -> Customer {
        let mut random = Random::new(self.seed ^ mix(number));
        // Counted on, so that no two customers of a run share a code.
        let code = (self.seed % CODES + number % CODES) % CODES;
        Customer {
            openid: openid(&mut random),
            code: format!("{code:012}"),
            friend: openid(&mut random),
            order_id: format!("{:020}", random.next()),
            trans_id: format!("42{:026}", random.next()),
        }
    }
}

fn openid(random: &mut Random) -> String {
    let mut id = String::from("oSIM_");
    for _ in 0..23 {
        id.push(char::from(random.pick(ID_ALPHABET)));
    }
    id
}

/// Random enough for invented ids, nonces and the sixteen bytes before a message; never for a secret.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next of a `SplitMix64` sequence.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// One of `choices`, at random.
    pub(super) fn pick<const N: usize>(&mut self, choices: &[u8; N]) -> u8 {
        let index = usize::try_from(self.next() >> 32).unwrap_or_default() % N.max(1);
        choices.get(index).copied().unwrap_or_default()
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_customers_of_a_run_share_an_openid_or_a_code() {
        let customers = Customers::new(u64::MAX);
        let (mut openids, mut codes) = (HashSet::new(), HashSet::new());
        for number in 0..10_000 {
            let Customer { openid, code, .. } = customers.customer(number);
            assert_eq!((openid.len(), code.len()), (28, 12));
            assert!(openids.insert(openid) && codes.insert(code));
        }
    }

    #[test]
    fn another_run_has_other_customers() {
        assert_ne!(Customers::new(1).customer(0), Customers::new(2).customer(0));
        assert_eq!(Customers::new(1).customer(7), Customers::new(1).customer(7));
    }
}
