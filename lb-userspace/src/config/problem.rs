//! What is wrong with a configuration, always in the same plain form.

use std::fmt;

/// One thing that is wrong or worth knowing, and the way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where, from line 1.
    pub line: usize,
    /// The setting, as a dotted path.
    pub key: String,
    /// Its value as the file writes it; none if it is missing, a table or a secret.
    pub value: Option<String>,
    /// What is wrong with it.
    pub finding: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.located(), self.remedy)
    }
}

impl Problem {
    /// Where it is and what is wrong, without what to do.
    #[must_use]
    pub fn located(&self) -> String {
        let value = self.value.as_ref().map(|value| format!(" = {value}")).unwrap_or_default();
        format!("{}: {}{value}: {}", self.line, self.key, self.finding)
    }
}

/// All problems of one file, in the order of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems {
    file: String,
    list: Vec<Problem>,
}

impl Problems {
    pub(super) fn new(file: &str, mut list: Vec<Problem>) -> Self {
        list.sort_by_key(|problem| problem.line);
        Self { file: file.to_owned(), list }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The file's name.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The problems, by line.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.list.iter()
    }
}

impl<'a> IntoIterator for &'a Problems {
    type Item = &'a Problem;
    type IntoIter = std::slice::Iter<'a, Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Problems {
    /// One line for each problem, as `file:line: key = value: finding; remedy`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            let separator = if i == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{problem}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Where a setting stands in the file.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// From line 1.
    pub line: usize,
    /// The setting, as a dotted path; empty for the whole file.
    pub key: String,
    /// The value as written, if a problem may show it.
    pub value: Option<String>,
}

impl Place {
    /// The place of a setting that the file leaves to its default.
    pub fn default_of(key: &str, value: impl fmt::Display) -> Self {
        Self { line: 1, key: format!("{key} (by default)"), value: Some(value.to_string()) }
    }

    /// A place inside this one.
    pub fn inside(&self, key: &str) -> String {
        if self.key.is_empty() { key.to_owned() } else { format!("{}.{key}", self.key) }
    }

    /// The same place, whose value no problem shows.
    pub fn without_value(self) -> Self {
        Self { value: None, ..self }
    }

    /// A problem at this place.
    pub fn problem(&self, finding: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem {
            line: self.line,
            key: self.key.clone(),
            value: self.value.clone(),
            finding: finding.into(),
            remedy: remedy.into(),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub value: T,
    pub place: Place,
}

/// A setting that may be absent, or unusable and already reported.
pub(super) type Field<T> = Option<Located<T>>;
