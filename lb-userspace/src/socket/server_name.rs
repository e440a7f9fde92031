//! A server's name, as HAProxy and the command line write it.

use std::str::FromStr;

use super::{Command, NotACommand, ServerChange};

/// A server as `<backend>/<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerName {
    /// The backend's name.
    pub backend: String,
    /// The server's name.
    pub name: String,
}

/// A name that nothing has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Missing {
    /// No backend has it.
    #[error("No such backend.")]
    Backend,
    /// No server of the backend has it.
    #[error("No such server.")]
    Server,
}

impl ServerName {
    /// The command that changes it.
    #[must_use]
    pub fn change(&self, change: ServerChange) -> Command {
        Command::Server { backend: self.backend.clone(), name: self.name.clone(), change }
    }

    /// The one of some items that has it; `names` tells an item's backend and name.
    pub fn find<T>(
        &self,
        items: impl IntoIterator<Item = T>,
        names: impl Fn(&T) -> (&str, &str),
    ) -> Result<T, Missing> {
        let mut of_backend = items.into_iter().filter(|item| names(item).0 == self.backend).peekable();
        of_backend.peek().ok_or(Missing::Backend)?;
        of_backend.find(|item| names(item).1 == self.name).ok_or(Missing::Server)
    }
}

impl FromStr for ServerName {
    type Err = NotACommand;

    fn from_str(text: &str) -> Result<Self, NotACommand> {
        let (backend, name) = text
            .split_once('/')
            .filter(|(_, name)| !name.is_empty())
            .ok_or_else(|| NotACommand::Server(text.to_owned()))?;
        Ok(Self { backend: backend.to_owned(), name: name.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_missing_is_told_of() {
        let others = [("a", "one"), ("b", "one"), ("a", "two")];
        let find = |name: &str| name.parse::<ServerName>().expect("a name").find(others, |names| *names);
        assert_eq!([find("a/one"), find("b/one"), find("a/two")], others.map(Ok));
        assert_eq!(find("b/two"), Err(Missing::Server));
        assert_eq!(find("c/one"), Err(Missing::Backend));
        assert_eq!(find("/one"), Err(Missing::Backend));
    }

    #[test]
    fn a_name_has_two_parts() {
        for text in ["", "a", "a/"] {
            assert_eq!(text.parse::<ServerName>(), Err(NotACommand::Server(text.to_owned())));
        }
    }
}
