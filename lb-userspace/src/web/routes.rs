//! What is where: HAProxy's paths, with its separators.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tracing::warn;

use super::Sources;
use super::buttons::{Denied, Outcome, Press, Token};
use super::guard::Guard;
use super::page::{self, Buttons, Page};
use crate::config::model::Stats;
use crate::socket::{Watched, instruct};
use crate::stats::haproxy;
use crate::stats::{View, metrics};

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4";

/// What HAProxy says to somebody without a password.
const UNAUTHORIZED: &str = "<html><body><h1>401 Unauthorized</h1>\n\
     You need a valid user and password to access this content.\n</body></html>\n";

/// The most bytes of a form: four fields, of which none is long.
const LONGEST_FORM: usize = 8 * 1024;

/// What is said to a client who has no place.
const CROWDED: &str = "too many connections; try again later\n";

/// After so many seconds a client without a place may find one.
const LATER: HeaderValue = HeaderValue::from_static("10");

/// What the statistics need.
struct Site<W> {
    sources: Sources<W>,
    uri: String,
    realm: String,
    refresh: Option<u64>,
    hides_version: bool,
    guard: Option<Arc<Guard>>,
    /// What changes come with; none are made without.
    token: Option<Token>,
}

/// A form of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// For a person, after a change perhaps.
    Page(Option<Outcome>),
    /// What changes of that.
    Live,
    Csv,
    Json,
}

/// The statistics, with metrics beside them, for those who may see them; and `/healthz` for everybody.
pub fn stats<W: Watched>(sources: &Sources<W>, stats: &Stats, token: &Token) -> Router {
    let site = Arc::new(Site {
        sources: sources.clone(),
        uri: stats.uri.clone(),
        realm: stats.realm.clone().unwrap_or_else(|| "HAProxy Statistics".to_owned()),
        refresh: stats.refresh.map(|refresh| refresh.as_secs()).filter(|seconds| *seconds > 0),
        hides_version: stats.hide_version,
        guard: stats.auth.clone().map(|account| Arc::new(Guard::new(account))),
        token: stats.admin.then(|| token.clone()),
    });
    let guarded = Router::new().fallback(show::<W>).with_state(site);
    watchdog(sources).fallback_service(guarded)
}

/// The metrics alone, for everybody.
pub fn metrics_only<W: Watched>(sources: &Sources<W>) -> Router {
    let scraped = Router::new().route("/metrics", get(scrape::<W>)).with_state(sources.clone());
    watchdog(sources).merge(scraped)
}

/// For clients who have no place: `/healthz` alone.
pub fn to_guests<W: Watched>(sources: &Sources<W>) -> Router {
    let crowded = (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, LATER)], CROWDED);
    watchdog(sources).fallback(|| async move { crowded })
}

fn watchdog<W: Watched>(sources: &Sources<W>) -> Router {
    Router::new().route("/healthz", get(health::<W>)).with_state(sources.clone())
}

/// Whether the data plane can be seen, and whether anybody looks after it.
async fn health<W: Watched>(State(sources): State<Sources<W>>) -> Response {
    if !sources.pulse.is_felt(Instant::now()) {
        return (StatusCode::SERVICE_UNAVAILABLE, "the agent's main loop does not answer\n").into_response();
    }
    seen(&*sources.watched, |_| text(TEXT, "ok\n".to_owned())).await
}

async fn scrape<W: Watched>(State(sources): State<Sources<W>>) -> Response {
    scraped(&*sources.watched).await
}

async fn scraped(watched: &impl Watched) -> Response {
    seen(watched, |view| text(METRICS, metrics(view))).await
}

async fn show<W: Watched>(State(site): State<Arc<Site<W>>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    if !site.lets_in(head.headers.get(header::AUTHORIZATION)).await {
        return site.unauthorized();
    }
    let asked = head.uri.path_and_query().map_or("", |asked| asked.as_str());
    let form = form(&site.uri, asked);
    match (&head.method, form, &site.token) {
        (&Method::GET | &Method::HEAD, ..) if head.uri.path() == "/metrics" => {
            scraped(&*site.sources.watched).await
        }
        (&Method::GET | &Method::HEAD, Some(form), _) => site.shown(form).await,
        (&Method::POST, Some(Form::Page(_)), Some(token)) => site.change(&head, body, token).await,
        (&Method::GET | &Method::HEAD, None, _) => StatusCode::NOT_FOUND.into_response(),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

impl<W: Watched> Site<W> {
    async fn lets_in(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some(guard) = &self.guard else { return true };
        guard.lets_in(authorization.map(HeaderValue::as_bytes)).await
    }

    fn unauthorized(&self) -> Response {
        let realm = self.realm.replace(['"', '\\'], "");
        let challenge = HeaderValue::from_str(&format!("Basic realm=\"{realm}\""));
        let challenge = challenge.unwrap_or(HeaderValue::from_static("Basic realm=\"xlb\""));
        let kind = HeaderValue::from_static("text/html");
        let headers = [
            (header::WWW_AUTHENTICATE, challenge),
            (header::CONTENT_TYPE, kind),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        ];
        (StatusCode::UNAUTHORIZED, headers, UNAUTHORIZED).into_response()
    }

    async fn shown(&self, form: Form) -> Response {
        let response = seen(&*self.sources.watched, |view| match form {
            Form::Page(outcome) => self.page(view, outcome),
            Form::Live => page::live(view, self.buttons()).into_response(),
            Form::Csv => text(TEXT, haproxy::csv(&haproxy::rows(view))),
            Form::Json => text(JSON, haproxy::json(&haproxy::rows(view))),
        });
        let response = response.await;
        if matches!(form, Form::Csv | Form::Json) { self.refreshed(response) } else { response }
    }

    fn buttons(&self) -> Option<Buttons<'_>> {
        self.token.as_ref().map(|token| Buttons { uri: &self.uri, token: token.text() })
    }

    fn page(&self, view: &View, outcome: Option<Outcome>) -> Response {
        let nonce = format!("{:032x}", rand::random::<u128>());
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        let page = Page {
            uri: &self.uri,
            refresh: self.refresh,
            shows_version: !self.hides_version,
            nonce: &nonce,
            buttons: self.buttons(),
            outcome,
        };
        let headers = [
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        ];
        (headers, page.whole(view)).into_response()
    }

    /// Has whoever watches it in a browser see it again, as HAProxy does. The page itself has other ways.
    fn refreshed(&self, mut response: Response) -> Response {
        if let Some(seconds) = self.refresh {
            response.headers_mut().insert(header::REFRESH, seconds.into());
        }
        response
    }

    /// Does what a button of the page asks for, and leads back to the page, as HAProxy does.
    async fn change(&self, head: &Parts, body: Body, token: &Token) -> Response {
        let Ok(body) = to_bytes(body, LONGEST_FORM).await else {
            return StatusCode::PAYLOAD_TOO_LARGE.into_response();
        };
        let press = Press::of(&body);
        if let Err(denied) = press.check(token, &head.headers, self.guard.is_some()) {
            warn!("statistics: a change was not made: {denied}");
            return self.denied(denied);
        }
        let outcome = match press.command() {
            Some(command) => Outcome::of(&instruct(&self.sources.requests, command).await),
            None => Outcome::Wrong,
        };
        Redirect::to(&format!("{};st={}", self.uri, outcome.word())).into_response()
    }

    fn denied(&self, denied: Denied) -> Response {
        (StatusCode::FORBIDDEN, page::denied(&self.uri, denied)).into_response()
    }
}

/// Which form is asked for, by HAProxy's ways to say so: behind `;`, behind `/;`, or in the query.
fn form(uri: &str, asked: &str) -> Option<Form> {
    let options = asked.strip_prefix(uri)?;
    let options = options.strip_prefix('/').unwrap_or(options);
    if !options.is_empty() && !options.starts_with([';', '?']) {
        return None;
    }
    let word = |word: &str| match word {
        "csv" => Some(Form::Csv),
        "json" => Some(Form::Json),
        "live" => Some(Form::Live),
        _ => word.strip_prefix("st=").map(|word| Form::Page(Outcome::named(word))),
    };
    Some(options.split([';', '?', '&']).find_map(word).unwrap_or(Form::Page(None)))
}

/// An answer from what there is to see.
async fn seen(watched: &impl Watched, answer: impl FnOnce(&View) -> Response) -> Response {
    match watched.view().await {
        Ok(view) => answer(&view),
        Err(error) => unavailable(&error),
    }
}

fn unavailable(error: &crate::dataplane::Error) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")).into_response()
}

fn text(kind: &'static str, body: String) -> Response {
    ([(header::CACHE_CONTROL, "no-cache"), (header::CONTENT_TYPE, kind)], body).into_response()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;
    use tokio::sync::mpsc;

    use super::*;
    use crate::config::account::Account;
    use crate::kind::Kind;
    use crate::pulse::Pulse;
    use crate::socket::service_tests::Still;
    use crate::socket::{Complaint, Request as Order};

    /// A page that nobody serves.
    struct Rig {
        router: Router,
        token: Token,
        pulse: Pulse,
    }

    const ACCOUNT: &str = "nathan:secret";
    /// The same as a browser sends it.
    const AUTHORIZATION: &str = "Basic bmF0aGFuOnNlY3JldA==";

    /// With what comes to the agent.
    fn rig(admin: bool) -> (Rig, mpsc::Receiver<Order>) {
        let (requests, orders) = mpsc::channel(1);
        let pulse = Pulse::default();
        pulse.beat(Instant::now());
        let sources = Sources { watched: Arc::new(Still::default()), pulse: pulse.clone(), requests };
        let stats = Stats {
            bind: ([127, 0, 0, 1], 8404).into(),
            uri: "/stats".to_owned(),
            refresh: None,
            realm: None,
            auth: Account::parse(ACCOUNT),
            hide_version: true,
            admin,
            identity: None,
        };
        let token = Token::random();
        (Rig { router: super::stats(&sources, &stats, &token), token, pulse }, orders)
    }

    impl Rig {
        async fn ask(&self, request: Request) -> (StatusCode, Option<String>, String) {
            let service = TowerToHyperService::new(self.router.clone());
            let response = service.call(request).await.expect("it is answered");
            let (head, body) = response.into_parts();
            let location = head.headers.get(header::LOCATION);
            let location = location.map(|value| value.to_str().expect("text").to_owned());
            let body = to_bytes(body, usize::MAX).await.expect("it has an end");
            (head.status, location, String::from_utf8_lossy(&body).into_owned())
        }

        async fn get(&self, path: &str) -> (StatusCode, String) {
            let request = Request::get(path).header(header::AUTHORIZATION, AUTHORIZATION);
            let (status, _, body) = self.ask(request.body(Body::empty()).expect("a request")).await;
            (status, body)
        }

        /// Sends a form, as a page does that was told this token.
        async fn post(&self, path: &str, token: &str, rest: &str) -> (StatusCode, Option<String>) {
            let request = Request::post(path).header(header::AUTHORIZATION, AUTHORIZATION);
            let request = request.body(Body::from(format!("token={token}&{rest}"))).expect("a request");
            let (status, location, _) = self.ask(request).await;
            (status, location)
        }
    }

    const DRAIN: &str = "b=k8s-api-server&s=fenn&action=drain";

    #[tokio::test]
    async fn a_button_orders_what_the_socket_orders_and_leads_back() {
        let (rig, mut orders) = rig(true);
        let token = rig.token.text();
        let refused = Err(Complaint::wrong("there is no such server"));
        let failed = Err(Complaint { kind: Kind::Failed, text: "the kernel says no".to_owned() });
        for (answer, word) in [(Ok(()), "DONE"), (refused, "ERRP"), (failed, "UNKN")] {
            let agent = async {
                let order = orders.recv().await.expect("an order");
                order.answer.send(answer).expect("somebody waits for it");
                order.command.to_string()
            };
            let (answered, command) = tokio::join!(rig.post("/stats", token, DRAIN), agent);
            assert_eq!(command, "set server k8s-api-server/fenn state drain");
            assert_eq!(answered, (StatusCode::SEE_OTHER, Some(format!("/stats;st={word}"))));
        }
        let (_, page) = rig.get("/stats;st=DONE").await;
        assert!(page.contains("role=\"status\">Done."), "{page}");
        let unknown = rig.post("/stats", token, "b=k8s-api-server&s=fenn&action=shutdown").await;
        assert_eq!(unknown, (StatusCode::SEE_OTHER, Some("/stats;st=ERRP".to_owned())));
        assert!(orders.try_recv().is_err(), "of what there is not, nothing is ordered");
    }

    #[tokio::test]
    async fn a_form_without_this_pages_token_changes_nothing() {
        let (rig, mut orders) = rig(true);
        // Who orders something is not kept waiting for an answer.
        orders.close();
        let (token, other) = (rig.token.text(), Token::random());
        for token in ["", other.text()] {
            assert_eq!(rig.post("/stats", token, DRAIN).await, (StatusCode::FORBIDDEN, None));
        }
        let form = || Body::from(format!("token={token}&{DRAIN}"));
        let request = Request::post("/stats").header(header::AUTHORIZATION, AUTHORIZATION);
        let request = request.header("sec-fetch-site", "cross-site").body(form()).expect("a request");
        let (status, _, body) = rig.ask(request).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert!(body.contains("another site"), "{body}");
        let request = Request::post("/stats").body(form()).expect("a request");
        assert_eq!(rig.ask(request).await.0, StatusCode::UNAUTHORIZED);
        let long = rig.post("/stats", token, &"x".repeat(LONGEST_FORM)).await;
        assert_eq!(long, (StatusCode::PAYLOAD_TOO_LARGE, None));
    }

    #[tokio::test]
    async fn a_page_that_changes_nothing_has_no_buttons() {
        let ((without, _orders), (with, _others)) = (rig(false), rig(true));
        for path in ["/stats", "/stats;live"] {
            assert!(!without.get(path).await.1.contains("<button"), "{path}");
            let page = with.get(path).await.1;
            assert!(page.contains("aria-label=\"drain fenn\"") && page.contains(with.token.text()), "{page}");
        }
        let (status, _) = without.post("/stats", without.token.text(), DRAIN).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        let (status, _) = with.post("/stats;csv", with.token.text(), DRAIN).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn a_watchdog_hears_of_a_main_loop_that_has_stopped() {
        let (rig, _orders) = rig(false);
        assert_eq!(rig.get("/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
        rig.pulse.beat(Instant::now().checked_sub(Duration::from_secs(60)).expect("this host is older"));
        let stopped = "the agent's main loop does not answer\n".to_owned();
        assert_eq!(rig.get("/healthz").await, (StatusCode::SERVICE_UNAVAILABLE, stopped));
        assert_eq!(rig.get("/stats;csv").await.0, StatusCode::OK, "what is known can be seen");
    }
}
