//! The system's error at the bottom of a library's.

use std::error::Error;
use std::io;

/// The first system's error among an error and what it came from.
pub fn find<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    let mut source = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref() {
            return Some(error);
        }
        source = error.source();
    }
    None
}

/// Its number, as in errno(3).
pub fn number(error: &(dyn Error + 'static)) -> Option<i32> {
    find(error)?.raw_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it failed")]
    struct Outer<E: Error + 'static>(#[source] E);

    #[test]
    fn it_may_lie_deep_or_not_be_there() {
        let refused = io::Error::from_raw_os_error(libc::EINVAL);
        assert_eq!(number(&Outer(Outer(refused))), Some(libc::EINVAL));
        assert_eq!(number(&Outer(std::fmt::Error)), None);
    }
}
