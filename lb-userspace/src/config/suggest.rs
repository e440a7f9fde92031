//! Remedies for a word that is not one of those known.

/// Words that differ in at most so many letters are taken for misspelled.
const NEAR: usize = 2;

/// The known word that was probably meant.
fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let distance = |candidate: &str| strsim::damerau_levenshtein(word, candidate);
    known.iter().copied().filter(|k| distance(k) <= NEAR).min_by_key(|k| distance(k))
}

/// Names the word that was probably meant, or else gives the other remedy.
pub(super) fn remedy(word: &str, known: &[&str], otherwise: String) -> String {
    nearest(word, known).map_or(otherwise, |meant| format!("did you mean \"{meant}\"?"))
}
