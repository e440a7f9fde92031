//! What is where: HAProxy's paths, with its separators.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::guard::Guard;
use super::page::{self, Page};
use crate::config::model::Stats;
use crate::monitor::Monitor;
use crate::stats::haproxy;
use crate::stats::{View, metrics};

const TEXT: &str = "text/plain";
const JSON: &str = "application/json";
/// Prometheus' text format.
const METRICS: &str = "text/plain; version=0.0.4";

/// What HAProxy says to somebody without a password.
const UNAUTHORIZED: &str = "<html><body><h1>401 Unauthorized</h1>\n\
     You need a valid user and password to access this content.\n</body></html>\n";

/// What the statistics need.
struct Site {
    monitor: Arc<Monitor>,
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
pub fn stats(monitor: Arc<Monitor>, stats: &Stats, guard: Option<Guard>) -> Router {
    let site = Arc::new(Site {
        monitor: monitor.clone(),
        uri: stats.uri.clone(),
        realm: stats.realm.clone().unwrap_or_else(|| "HAProxy Statistics".to_owned()),
        refresh: stats.refresh.map(|refresh| refresh.as_secs()).filter(|seconds| *seconds > 0),
        hides_version: stats.hide_version,
        guard: guard.map(Arc::new),
    });
    let guarded = Router::new().fallback(show).with_state(site);
    Router::new().route("/healthz", get(health)).with_state(monitor).fallback_service(guarded)
}

/// The metrics alone, for everybody.
pub fn metrics_only(monitor: Arc<Monitor>) -> Router {
    Router::new().route("/metrics", get(scrape)).route("/healthz", get(health)).with_state(monitor)
}

async fn health(State(monitor): State<Arc<Monitor>>) -> Response {
    match monitor.view().await {
        Ok(_) => text(TEXT, "ok\n".to_owned()),
        Err(error) => unavailable(&error),
    }
}

async fn scrape(State(monitor): State<Arc<Monitor>>) -> Response {
    seen(&monitor, |view| text(METRICS, metrics(view))).await
}

async fn show(State(site): State<Arc<Site>>, request: Request) -> Response {
    // The rest of a request cannot be held while somebody waits.
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    if !site.lets_in(authorization.as_ref()).await {
        return site.unauthorized();
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    if request.uri().path() == "/metrics" {
        return seen(&site.monitor, |view| text(METRICS, metrics(view))).await;
    }
    let asked = request.uri().path_and_query().map_or("", |asked| asked.as_str());
    let Some(form) = form(&site.uri, asked) else { return StatusCode::NOT_FOUND.into_response() };
    let response = seen(&site.monitor, |view| match form {
        Form::Page => site.page(view),
        Form::Live => page::live(view).into_response(),
        Form::Csv => text(TEXT, haproxy::csv(&haproxy::rows(view))),
        Form::Json => text(JSON, haproxy::json(&haproxy::rows(view))),
    });
    let response = response.await;
    if matches!(form, Form::Csv | Form::Json) { site.refreshed(response) } else { response }
}

impl Site {
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
async fn seen(monitor: &Monitor, answer: impl FnOnce(&View) -> Response) -> Response {
    match monitor.view().await {
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
