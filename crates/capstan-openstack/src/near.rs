//! "Did you mean".

/// The longest name that is compared, in bytes: no service allows more, and the time grows with the square.
const LONGEST: usize = 255;

/// The one of `known` that looks most like `wanted`, if any looks like it at all.
pub fn near<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted = wanted.to_lowercase();
    known
        .into_iter()
        .filter(|name| name.len().max(wanted.len()) <= LONGEST)
        .map(|name| (strsim::damerau_levenshtein(&wanted, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= (wanted.len().max(name.len()) / 3).max(1))
        .min()
        .map(|(_, name)| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, near};

    #[test]
    fn a_slip_is_found_and_a_different_name_is_not() {
        let known = ["production", "staging", "Ubuntu 24.04"];
        assert_eq!(near("prodcution", known).as_deref(), Some("production"));
        assert_eq!(near("ubuntu 24.04", known).as_deref(), Some("Ubuntu 24.04"));
        assert_eq!(near("demo", known), None);
        let endless = "x".repeat(LONGEST + 1);
        assert_eq!(near(&endless, [endless.as_str()]), None);
    }
}
