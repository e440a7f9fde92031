//! What a check comes to.

use std::fmt;

use serde::Serialize;

use crate::config::Problem;

/// How bad a finding is, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// As it should be.
    Ok,
    /// Something to know; nothing has to be done.
    Note,
    /// Something does not work, or not as somebody may expect it.
    Warning,
    /// `xlb run` refuses, or would fail.
    Fatal,
}

/// What a check comes to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The check's name, for scripts. Several findings may have the same.
    pub check: &'static str,
    /// How bad it is.
    pub result: Severity,
    /// What was found.
    pub reason: String,
    /// What to do about it: a command, or a line of the configuration.
    pub remedy: Option<String>,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "WARNING",
            Self::Fatal => "FATAL",
        })
    }
}

impl Finding {
    pub(crate) fn ok(check: &'static str, reason: impl Into<String>) -> Self {
        Self { check, result: Severity::Ok, reason: reason.into(), remedy: None }
    }

    pub(crate) fn note(check: &'static str, reason: impl Into<String>) -> Self {
        Self { check, result: Severity::Note, reason: reason.into(), remedy: None }
    }

    pub(crate) fn warning(check: &'static str, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, result: Severity::Warning, reason: reason.into(), remedy: Some(remedy.into()) }
    }

    pub(crate) fn fatal(check: &'static str, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { check, result: Severity::Fatal, reason: reason.into(), remedy: Some(remedy.into()) }
    }

    /// An error whose message says what is wrong and, behind a semicolon, what to do.
    pub(crate) fn of_error(check: &'static str, result: Severity, error: &impl fmt::Display) -> Self {
        let text = error.to_string();
        let (reason, remedy) = match text.split_once("; ") {
            Some((reason, remedy)) => (reason.to_owned(), Some(remedy.to_owned())),
            None => (text, None),
        };
        Self { check, result, reason, remedy }
    }

    /// A problem of a configuration, by its file, line and key.
    pub(crate) fn of_problem(check: &'static str, result: Severity, file: &str, problem: &Problem) -> Self {
        let reason = format!("{file}:{}", problem.located());
        Self { check, result, reason, remedy: Some(problem.remedy.clone()) }
    }

    /// The same finding with something to do about it.
    pub(crate) fn with_remedy(self, remedy: impl Into<String>) -> Self {
        Self { remedy: Some(remedy.into()), ..self }
    }
}

impl fmt::Display for Finding {
    /// What is wrong and what to do, as `xlb run` says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)?;
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

/// How bad the worst of them is.
#[must_use]
pub fn worst(findings: &[Finding]) -> Severity {
    findings.iter().map(|finding| finding.result).max().unwrap_or(Severity::Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_of_findings_may_be_anywhere() {
        let (ok, note) = (Finding::ok("a", "b"), Finding::note("a", "b"));
        let (warning, fatal) = (Finding::warning("a", "b", "c"), Finding::fatal("a", "b", "c"));
        assert_eq!(worst(&[]), Severity::Ok);
        assert_eq!(worst(&[ok.clone(), note.clone()]), Severity::Note);
        assert_eq!(worst(&[note, warning.clone(), ok]), Severity::Warning);
        assert_eq!(worst(&[fatal, warning]), Severity::Fatal);
    }

    #[test]
    fn an_error_is_taken_apart_and_put_together_again() {
        let finding = Finding::of_error("a", Severity::Fatal, &"it is down; bring it up; or not");
        assert_eq!(
            (finding.reason.as_str(), finding.remedy.as_deref()),
            ("it is down", Some("bring it up; or not"))
        );
        assert_eq!(finding.to_string(), "it is down; bring it up; or not");
        assert_eq!(Finding::of_error("a", Severity::Fatal, &"it is down").to_string(), "it is down");
    }
}
