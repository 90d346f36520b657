//! Card codes and openids are personal: what people see of them is masked, here and only here.

/// Shows at most the first three and the last two characters, and never more than half.
pub(crate) fn mask(personal: &str) -> String {
    let length = personal.chars().count();
    let shown = length / 4;
    let head: String = personal.chars().take(shown.min(3)).collect();
    let tail: String = personal.chars().skip(length - shown.min(2)).collect();
    format!("{head}***{tail}")
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn an_openid_keeps_three_and_two_characters() {
        assert_eq!(mask("oTEST-aBcDeFgHiJkLmNoPqRsT"), "oTE***sT");
    }

    #[test]
    fn a_short_code_shows_nothing_or_little() {
        assert_eq!(mask(""), "***");
        assert_eq!(mask("007"), "***");
        assert_eq!(mask("0071"), "0***1");
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert_eq!(mask("一二三四五六七八"), "一二***七八");
    }
}
