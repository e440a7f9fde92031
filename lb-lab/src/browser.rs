//! A browser that a person could sit at: Chromium without a window, with one page.

mod devtools;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use self::devtools::{DevTools, Event};
use crate::{Error, Host, Result};

/// Hands stdin and stdout on as the pipes that Chromium talks by.
const HAND_ON: &str = r#"exec "$@" 3<&0 4>&1 </dev/null >/dev/null"#;

/// Chromium asks for nothing but the page, and does without what namespaces of root's have not.
const OPTIONS: [&str; 13] = [
    "--headless",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--disable-breakpad",
];

/// A pixel of CSS, in inches of paper.
const INCH: f64 = 96.0;

/// A browser on a host; ended when dropped.
#[derive(Debug)]
pub struct Browser {
    devtools: DevTools,
    /// The page's session.
    page: String,
}

/// What the user of a browser prefers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    /// Dark text on a light page.
    Light,
    /// The other way round.
    Dark,
}

/// A part of the page as a screen reader has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is: `link`, `table`, `button`.
    pub role: String,
    /// What it is called; empty if it is not.
    pub name: String,
    /// Whether the keyboard gets there.
    pub is_focusable: bool,
}

impl Browser {
    /// Starts a browser with an empty page.
    pub fn start(host: &Host) -> Result<Self> {
        let home = host.sandbox().file("chromium");
        let mut command = host.command("sh");
        command.args(["-c", HAND_ON, "sh", "chromium"]).args(OPTIONS).env("HOME", &home);
        command.arg(format!("--user-data-dir={}", home.display()));
        let mut devtools = DevTools::start(&mut command)?;
        let target = devtools.order(None, "Target.createTarget", &json!({ "url": "about:blank" }))?;
        let target = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = devtools.order(None, "Target.attachToTarget", &target)?;
        let page: String = read("a session", attached["sessionId"].clone())?;
        let mut browser = Self { devtools, page };
        for domain in ["Page", "Runtime", "Log", "Accessibility"] {
            browser.order(&format!("{domain}.enable"), &json!({}))?;
        }
        browser.order("Page.setLifecycleEventsEnabled", &json!({ "enabled": true }))?;
        Ok(browser)
    }

    /// Goes to an address, and waits until all of the page is there.
    pub fn open(&mut self, url: &str) -> Result<()> {
        let behind = self.devtools.events().len();
        let answer = self.order("Page.navigate", &json!({ "url": url }))?;
        if let Some(error) = answer["errorText"].as_str() {
            return Err(Error::malformed(url, &error));
        }
        // A page before it may load itself again meanwhile.
        let loader = &answer["loaderId"];
        self.devtools.wait_for(url, behind, |Event { method, params }| {
            method == "Page.lifecycleEvent" && params["name"] == "load" && params["loaderId"] == *loader
        })
    }

    /// Waits until the page is loaded once more, though nobody here asks for it.
    pub fn wait_for_reload(&mut self) -> Result<()> {
        let behind = self.devtools.events().len();
        self.devtools.wait_for("a reload", behind, |event| event.method == "Page.loadEventFired")
    }

    /// Gives it the screen of a phone or of a desk, in pixels of CSS.
    pub fn resize(&mut self, (width, height): (u32, u32), is_phone: bool) -> Result<()> {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 0, "mobile": is_phone });
        self.order("Emulation.setDeviceMetricsOverride", &size).map(drop)
    }

    /// Prefers a light or a dark page, and has paper show what a screen does.
    pub fn prefer(&mut self, scheme: Scheme) -> Result<()> {
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        self.order("Emulation.setEmulatedMedia", &json!({ "media": "screen", "features": features }))
            .map(drop)
    }

    /// Runs the scripts of pages that are opened from now on, or none.
    pub fn run_scripts(&mut self, are_wanted: bool) -> Result<()> {
        self.order("Emulation.setScriptExecutionDisabled", &json!({ "value": !are_wanted })).map(drop)
    }

    /// Goes on to what the keyboard gets to next.
    pub fn press_tab(&mut self) -> Result<()> {
        self.press(json!({ "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 }))
    }

    /// Presses the button or follows the link that has the keyboard's attention, and waits until all of the page is there
    /// that comes of it.
    pub fn press_enter(&mut self) -> Result<()> {
        let behind = self.devtools.events().len();
        self.press(json!({ "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r" }))?;
        self.devtools.wait_for("a page", behind, |event| event.method == "Page.loadEventFired")
    }

    /// Presses a key and lets it go.
    fn press(&mut self, mut key: Value) -> Result<()> {
        for kind in ["keyDown", "keyUp"] {
            key["type"] = kind.into();
            self.order("Input.dispatchKeyEvent", &key)?;
        }
        Ok(())
    }

    /// The value of an expression in JavaScript; of a promise, the value that it comes to.
    pub fn evaluate<T: DeserializeOwned>(&mut self, expression: &str) -> Result<T> {
        let order = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.order("Runtime.evaluate", &order)?;
        match answer.get("exceptionDetails") {
            Some(details) => Err(Error::malformed("a script", &thrown(details))),
            None => read("a script's value", answer["result"]["value"].take()),
        }
    }

    /// Waits until a condition in JavaScript holds; it is looked at whenever the page changes.
    pub fn wait_until(&mut self, condition: &str) -> Result<()> {
        let promise = format!(
            "new Promise((done) => {{
                const look = () => {{ if ({condition}) {{ observer.disconnect(); done(true); }} }};
                const observer = new MutationObserver(look);
                const all = {{ subtree: true, childList: true, attributes: true, characterData: true }};
                observer.observe(document, all);
                look();
            }})"
        );
        let outcome = self.evaluate::<bool>(&promise).map(drop);
        outcome.map_err(|error| match error {
            Error::Timeout { .. } => {
                Error::Timeout { what: condition.to_owned(), context: self.complaints().join("\n") }
            }
            error => error,
        })
    }

    /// The page as a screen reader has it, without what that leaves out.
    pub fn parts(&mut self) -> Result<Vec<Part>> {
        let mut tree = self.order("Accessibility.getFullAXTree", &json!({}))?;
        let nodes: Vec<Node> = read("the accessibility tree", tree["nodes"].take())?;
        Ok(nodes.into_iter().filter(|node| !node.ignored).map(Node::part).collect())
    }

    /// What the console has of errors and warnings, scripts that failed and requests that were refused
    /// included.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        self.devtools.events().iter().filter_map(complaint).collect()
    }

    /// The page on one sheet of paper of this size, in pixels of CSS, as a PDF.
    pub fn print(&mut self, (width, height): (u32, u32)) -> Result<Vec<u8>> {
        let inches = |pixels: u32| f64::from(pixels) / INCH;
        let mut order =
            json!({ "printBackground": true, "paperWidth": inches(width), "paperHeight": inches(height) });
        for margin in ["marginTop", "marginBottom", "marginLeft", "marginRight"] {
            order[margin] = 0.into();
        }
        let printed = self.order("Page.printToPDF", &order)?;
        let text: String = read("a print", printed["data"].clone())?;
        BASE64_STANDARD.decode(text).map_err(|error| Error::malformed("a print", &error))
    }

    fn order(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.devtools.order(Some(&self.page), method, params)
    }
}

/// A node of the tree as Chromium tells it.
#[derive(Deserialize)]
struct Node {
    ignored: bool,
    role: Option<Told>,
    name: Option<Told>,
    #[serde(default)]
    properties: Vec<Property>,
}

#[derive(Deserialize)]
struct Property {
    name: String,
    value: Told,
}

#[derive(Deserialize)]
struct Told {
    value: Option<Value>,
}

impl Node {
    fn part(self) -> Part {
        let text = |told: Option<Told>| {
            let value = told.and_then(|told| told.value);
            value.and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
        };
        let is_focusable = |property: &Property| {
            property.name == "focusable" && property.value.value == Some(Value::Bool(true))
        };
        Part {
            is_focusable: self.properties.iter().any(is_focusable),
            role: text(self.role),
            name: text(self.name),
        }
    }
}

fn read<T: DeserializeOwned>(what: &str, value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| Error::malformed(what, &error))
}

/// What an event says, if it is one to complain about.
fn complaint(Event { method, params }: &Event) -> Option<String> {
    let is_bad = |level: &Value| ["error", "warning", "assert"].iter().any(|bad| level == bad);
    match method.as_str() {
        "Runtime.exceptionThrown" => Some(thrown(&params["exceptionDetails"])),
        "Runtime.consoleAPICalled" if is_bad(&params["type"]) => Some(params["args"].to_string()),
        "Log.entryAdded" if is_bad(&params["entry"]["level"]) => Some(params["entry"].to_string()),
        _ => None,
    }
}

/// What a script has thrown, in words if it has any.
fn thrown(details: &Value) -> String {
    let words = details["exception"]["description"].as_str().or(details["text"].as_str());
    words.map_or_else(|| details.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_warnings_are_complaints() {
        let said = |method: &str, params: Value| complaint(&Event { method: method.to_owned(), params });
        let thrown = json!({ "exceptionDetails": { "exception": { "description": "Error: no" } } });
        assert_eq!(said("Runtime.exceptionThrown", thrown).as_deref(), Some("Error: no"));
        let entry = json!({ "entry": { "level": "error", "text": "refused" } });
        assert!(said("Log.entryAdded", entry).is_some_and(|said| said.contains("refused")));
        assert_eq!(said("Log.entryAdded", json!({ "entry": { "level": "info" } })), None);
        assert!(said("Runtime.consoleAPICalled", json!({ "type": "warning", "args": ["odd"] })).is_some());
        assert_eq!(said("Runtime.consoleAPICalled", json!({ "type": "log", "args": ["fine"] })), None);
    }

    #[test]
    fn a_part_has_what_a_screen_reader_says() {
        let node = json!({ "ignored": false, "role": { "value": "link" }, "name": { "value": "CSV" },
            "properties": [{ "name": "focusable", "value": { "value": true } }] });
        let part = Part { role: "link".to_owned(), name: "CSV".to_owned(), is_focusable: true };
        assert_eq!(read::<Node>("a node", node).map(Node::part).ok(), Some(part));
    }
}
