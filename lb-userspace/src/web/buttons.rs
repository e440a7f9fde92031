//! The page's buttons: what they ask for, how it went, and what keeps other pages from pressing them.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, header};
use subtle::ConstantTimeEq;

use crate::dataplane::status::Admin;
use crate::kind::Kind;
use crate::socket::{Command, Complaint, ServerChange};

/// Tells where a request comes from, in browsers' words (Fetch Metadata Request Headers).
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The fields of the form. Those that HAProxy has too have its names.
pub mod field {
    /// What only a page of ours knows.
    pub const TOKEN: &str = "token";
    /// The backend.
    pub const BACKEND: &str = "b";
    /// The server.
    pub const SERVER: &str = "s";
    /// What it is to be.
    pub const ACTION: &str = "action";
}

/// What only the page knows, and whoever may see it: other sites can have a browser send a form, but cannot read the
/// page. Another one each time the agent is started.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// One that nobody can guess.
    pub fn random() -> Self {
        Self(format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>()))
    }

    /// As the page has it.
    pub fn text(&self) -> &str {
        &self.0
    }

    fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

/// Why a press of a button is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It comes from a page of another site.
    #[error("it came from another site's page")]
    Elsewhere,
    /// Its page was told another token, or none.
    #[error("its page is not, or no longer, one of this agent's; load it again")]
    Unknown,
    /// A name leads here that may be anybody's.
    #[error(
        "without a password, the page's buttons need an address, or localhost, in the browser's address line"
    )]
    Named,
}

/// What a press of a button asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Press {
    token: String,
    backend: String,
    server: String,
    action: String,
}

impl Press {
    /// Reads a form. What it lacks is empty, and what nobody asks for is overlooked.
    pub fn of(body: &[u8]) -> Self {
        let mut press = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            let place = match &*name {
                field::TOKEN => &mut press.token,
                field::BACKEND => &mut press.backend,
                field::SERVER => &mut press.server,
                field::ACTION => &mut press.action,
                _ => continue,
            };
            *place = value.into_owned();
        }
        press
    }

    /// Whether it is one, by what came along with it. `is_guarded` says whether a password is asked for.
    pub fn check(&self, token: &Token, headers: &HeaderMap, is_guarded: bool) -> Result<(), Denied> {
        if !is_from_here(headers) {
            return Err(Denied::Elsewhere);
        }
        if !token.is(&self.token) {
            return Err(Denied::Unknown);
        }
        if is_guarded || is_by_address(headers) { Ok(()) } else { Err(Denied::Named) }
    }

    /// What the agent is to do; none if there is no such thing.
    pub fn command(&self) -> Option<Command> {
        let change = ServerChange::State(Admin::named(&self.action)?);
        Some(Command::Server { backend: self.backend.clone(), name: self.server.clone(), change })
    }
}

/// Whether a page of ours sent this, as far as the browser tells. What tells nothing is no browser, or an old one.
fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if let Some(site) = text(&SITE) {
        return matches!(site, "same-origin" | "none");
    }
    let Some(origin) = text(&header::ORIGIN) else { return true };
    let authority = origin.split_once("://").map(|(_scheme, authority)| authority);
    authority.is_some() && authority == text(&header::HOST)
}

/// Whether the browser was told an address, or this host's own name. Any other name may be a stranger's, whose pages are
/// one site with this one then (DNS rebinding); of a password it would know nothing, but the page it could read.
fn is_by_address(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
    host.is_some_and(|host| {
        let host = host.host().trim_matches(['[', ']']);
        host.eq_ignore_ascii_case("localhost") || host.parse::<IpAddr>().is_ok()
    })
}

/// How it went, in the words that HAProxy has for it in the page's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it was wanted.
    Done,
    /// There is no such server or state.
    Wrong,
    /// The agent could not.
    Failed,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Done, Self::Wrong, Self::Failed];

    /// By what the agent has answered.
    pub fn of(answer: &Result<(), Complaint>) -> Self {
        match answer {
            Ok(()) => Self::Done,
            Err(Complaint { kind: Kind::Wrong, .. }) => Self::Wrong,
            Err(_) => Self::Failed,
        }
    }

    /// By its word in an address.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.word() == word)
    }

    /// Its word in an address.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Done => "DONE",
            Self::Wrong => "ERRP",
            Self::Failed => "UNKN",
        }
    }

    /// As the page says it.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Done => "Done.",
            Self::Wrong => "Nothing was changed: there is no such server, or no such state.",
            Self::Failed => "That did not work. The agent's log says why.",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("text")))
            .collect()
    }

    #[test]
    fn a_press_names_server_and_state() {
        let press = Press::of(b"token=t&b=k8s-api-server&s=fenn%2E1&action=drain&more=1");
        let command = press.command().map(|command| command.to_string());
        assert_eq!(command.as_deref(), Some("set server k8s-api-server/fenn.1 state drain"));
        for body in ["", "s=fenn&b=k8s", "s=fenn&b=k8s&action=", "s=fenn&b=k8s&action=shutdown", "%", "=&=&&"]
        {
            assert_eq!(Press::of(body.as_bytes()).command(), None, "{body}");
        }
    }

    #[test]
    fn only_this_agents_token_is_one() {
        let token = Token::random();
        let check = |text: &str| {
            let press = Press { token: text.to_owned(), ..Press::default() };
            press.check(&token, &HeaderMap::new(), true)
        };
        assert_eq!(check(token.text()), Ok(()));
        let other = Token::random();
        for wrong in ["", other.text(), &token.text()[1..], &format!("{} ", token.text())] {
            assert_eq!(check(wrong), Err(Denied::Unknown), "{wrong}");
        }
    }

    #[test]
    fn what_comes_from_another_site_is_denied_even_with_the_token() {
        let token = Token::random();
        let press = Press { token: token.text().to_owned(), ..Press::default() };
        let check = |lines: &[(&'static str, &'static str)]| press.check(&token, &headers(lines), true);
        let host = ("host", "198.18.0.10:8404");
        for ours in [
            &[host][..],
            &[host, ("origin", "http://198.18.0.10:8404")],
            &[host, ("origin", "https://198.18.0.10:8404")],
            &[host, ("sec-fetch-site", "same-origin"), ("origin", "https://behind.a.proxy")],
        ] {
            assert_eq!(check(ours), Ok(()), "{ours:?}");
        }
        for other in [
            &[host, ("origin", "http://198.18.0.10")][..],
            &[host, ("origin", "http://evil.example")],
            &[host, ("origin", "null")],
            &[("origin", "null")],
            &[host, ("sec-fetch-site", "cross-site")],
            &[host, ("sec-fetch-site", "same-site")],
            &[host, ("sec-fetch-site", ""), ("origin", "http://198.18.0.10:8404")],
        ] {
            assert_eq!(check(other), Err(Denied::Elsewhere), "{other:?}");
        }
    }

    #[test]
    fn without_a_password_no_strangers_name_leads_here() {
        let token = Token::random();
        let press = Press { token: token.text().to_owned(), ..Press::default() };
        let check = |host: &'static str| press.check(&token, &headers(&[("host", host)]), false);
        for ours in ["127.0.0.1:8404", "localhost:8404", "LOCALHOST", "[::1]:8404"] {
            assert_eq!(check(ours), Ok(()), "{ours}");
        }
        for other in ["evil.example:8404", "localhost.evil.example", "127.0.0.1.evil.example", ""] {
            assert_eq!(check(other), Err(Denied::Named), "{other}");
        }
        assert_eq!(press.check(&token, &HeaderMap::new(), false), Err(Denied::Named));
    }
}
