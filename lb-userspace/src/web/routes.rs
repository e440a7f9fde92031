//! What is where: HAProxy's paths, with its separators.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Sources;
use super::guard::Guard;
use super::page::{self, Page};
use crate::config::model::Stats;
use crate::socket::Watched;
use crate::stats::haproxy;
use crate::stats::{View, metrics};

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4";

/// What HAProxy says to somebody without a password.
const UNAUTHORIZED: &str = "<html><body><h1>401 Unauthorized</h1>\n\
     You need a valid user and password to access this content.\n</body></html>\n";

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
}

/// A form of the statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// For a person.
    Page,
    /// What changes of that.
    Live,
    Csv,
    Json,
}

/// The statistics, with metrics beside them, for those who may see them; and `/healthz` for everybody.
pub fn stats<W: Watched>(sources: &Sources<W>, stats: &Stats) -> Router {
    let site = Arc::new(Site {
        sources: sources.clone(),
        uri: stats.uri.clone(),
        realm: stats.realm.clone().unwrap_or_else(|| "HAProxy Statistics".to_owned()),
        refresh: stats.refresh.map(|refresh| refresh.as_secs()).filter(|seconds| *seconds > 0),
        hides_version: stats.hide_version,
        guard: stats.auth.clone().map(|account| Arc::new(Guard::new(account))),
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
    seen(&*sources.watched, |view| text(METRICS, metrics(view))).await
}

async fn show<W: Watched>(State(site): State<Arc<Site<W>>>, request: Request) -> Response {
    // The rest of a request cannot be held while somebody waits.
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    if !site.lets_in(authorization.as_ref()).await {
        return site.unauthorized();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if request.uri().path() == "/metrics" {
        return seen(&*site.sources.watched, |view| text(METRICS, metrics(view))).await;
    }
    let asked = request.uri().path_and_query().map_or("", |asked| asked.as_str());
    let Some(form) = form(&site.uri, asked) else { return StatusCode::NOT_FOUND.into_response() };
    let response = seen(&*site.sources.watched, |view| match form {
        Form::Page => site.page(view),
        Form::Live => page::live(view).into_response(),
        Form::Csv => text(TEXT, haproxy::csv(&haproxy::rows(view))),
        Form::Json => text(JSON, haproxy::json(&haproxy::rows(view))),
    });
    let response = response.await;
    if matches!(form, Form::Csv | Form::Json) { site.refreshed(response) } else { response }
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

    fn page(&self, view: &View) -> Response {
        let nonce = format!("{:032x}", rand::random::<u128>());
        let policy = format!(
            "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
             img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        );
        let (uri, refresh, shows_version) = (self.uri.as_str(), self.refresh, !self.hides_version);
        let page = Page { uri, refresh, shows_version, nonce: &nonce }.whole(view);
        let headers = [
            (header::CONTENT_SECURITY_POLICY, policy),
            (header::CACHE_CONTROL, "no-cache".to_owned()),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        ];
        (headers, page).into_response()
    }

    /// Has whoever watches it in a browser see it again, as HAProxy does. The page itself has other ways.
    fn refreshed(&self, mut response: Response) -> Response {
        if let Some(seconds) = self.refresh {
            response.headers_mut().insert(header::REFRESH, seconds.into());
        }
        response
    }
}

/// Which form is asked for, by HAProxy's ways to say so: behind `;`, behind `/;`, or in the query.
fn form(uri: &str, asked: &str) -> Option<Form> {
    let options = asked.strip_prefix(uri)?;
    let options = options.strip_prefix('/').unwrap_or(options);
    if !options.is_empty() && !options.starts_with([';', '?']) {
        return None;
    }
    let word = |word| match word {
        "csv" => Some(Form::Csv),
        "json" => Some(Form::Json),
        "live" => Some(Form::Live),
        _ => None,
    };
    Some(options.split([';', '?', '&']).find_map(word).unwrap_or(Form::Page))
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

    use axum::body::{Body, to_bytes};
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    use super::*;
    use crate::pulse::Pulse;
    use crate::socket::service_tests::Still;

    /// A page that nobody serves, and what its agent's main loop says.
    fn rig() -> (Router, Pulse) {
        let pulse = Pulse::default();
        pulse.beat(Instant::now());
        let sources = Sources { watched: Arc::new(Still::default()), pulse: pulse.clone() };
        let stats = Stats {
            bind: ([127, 0, 0, 1], 8404).into(),
            uri: "/stats".to_owned(),
            refresh: None,
            realm: None,
            auth: None,
            hide_version: true,
            admin: false,
        };
        (super::stats(&sources, &stats), pulse)
    }

    async fn get(router: &Router, path: &str) -> (StatusCode, String) {
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let service = TowerToHyperService::new(router.clone());
        let (head, body) = service.call(request).await.expect("it is answered").into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("it has an end");
        (head.status, String::from_utf8_lossy(&body).into_owned())
    }

    #[tokio::test]
    async fn a_watchdog_hears_of_a_main_loop_that_has_stopped() {
        let (router, pulse) = rig();
        assert_eq!(get(&router, "/healthz").await, (StatusCode::OK, "ok\n".to_owned()));
        pulse.beat(Instant::now().checked_sub(Duration::from_secs(60)).expect("this host is older"));
        let stopped = "the agent's main loop does not answer\n".to_owned();
        assert_eq!(get(&router, "/healthz").await, (StatusCode::SERVICE_UNAVAILABLE, stopped));
        assert_eq!(get(&router, "/stats;csv").await.0, StatusCode::OK, "what is known can be seen");
    }
}
