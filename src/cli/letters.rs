//! Random secrets in the form that WeChat's console accepts.

use anyhow::Context as _;

const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// A secret of `N` letters and digits: 3 to 32 for a token, 43 for an EncodingAESKey.
pub(super) fn letters<const N: usize>() -> anyhow::Result<String> {
    // Bytes beyond a multiple of the alphabet are drawn again: every letter is equally likely.
    let fair = u8::MAX - u8::MAX % u8::try_from(ALPHABET.len())?;
    let mut letters = String::with_capacity(N);
    while letters.len() < N {
        let mut random = [0; N];
        getrandom::fill(&mut random).context("the system gives no random numbers")?;
        let drawn = random.iter().filter(|byte| **byte < fair);
        let drawn = drawn.filter_map(|byte| ALPHABET.get(usize::from(*byte) % ALPHABET.len()));
        letters.extend(drawn.copied().map(char::from).take(N - letters.len()));
    }
    Ok(letters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_have_the_length_that_wechat_gives_them() {
        assert_eq!(letters::<43>().unwrap().len(), 43);
        assert_ne!(letters::<32>().unwrap(), letters::<32>().unwrap());
    }
}
