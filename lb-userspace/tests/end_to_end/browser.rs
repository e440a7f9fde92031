//! The statistics page in a browser: live, narrow, in the dark, by keyboard, for a screen reader, and without
//! scripts.

use lb_lab::browser::{Part, Scheme};
use lb_lab::{Browser, Result, Topology, curl};

use crate::stage::{Stage, WEB, config, lab};

const PORT: u16 = 8404;
const ACCOUNT: &str = "nathan:secret";

/// Of a desk and of a phone, in pixels of CSS.
const DESK: (u32, u32) = (1280, 800);
const PHONE: (u32, u32) = (390, 844);

/// What is hard to read, as a script finds it out.
const CONTRAST: &str = include_str!("contrast.js");

/// The total of the first frontend's connections.
const TOTAL: &str =
    "document.querySelector('section[aria-labelledby=frontends] tbody tr td:nth-of-type(7)').textContent";

/// What has the keyboard's attention, by its name.
const FOCUSED: &str = "document.activeElement.ariaLabel ?? document.activeElement.textContent";

/// How wide the page is; tables are scrolled in a place of their own.
const WIDTH: &str = "document.documentElement.scrollWidth";

const CONNECTIONS: usize = 6;

/// Parts of which each needs a name.
const NAMED: [&str; 9] =
    ["link", "button", "table", "region", "image", "heading", "navigation", "columnheader", "rowheader"];

fn set() -> Result<Stage> {
    let lab = lab(Topology { lan_clients: 1, routed_clients: 0, ..Topology::default() });
    let page = format!(
        "\n[stats]\nbind = \"0.0.0.0:{PORT}\"\nauth = \"{ACCOUNT}\"\nrefresh = \"1s\"\nadmin = true\n"
    );
    let text = config(&lab, "tc").to_toml() + &page;
    Stage::set_in_with(lab, &text)
}

#[test]
fn everybody_can_use_the_page_in_a_browser() -> Result<()> {
    let mut stage = set()?;
    // As a bookmark has it.
    let url = format!("http://{ACCOUNT}@{}:{PORT}/stats", stage.lab.balancer.address());
    let mut browser = Browser::start(&stage.lab.lan_clients[0])?;
    browser.resize(DESK, false)?;
    browser.prefer(Scheme::Light)?;
    browser.open(&url)?;
    it_keeps_itself_up_to_date(&stage, &mut browser)?;
    the_keyboard_gets_everywhere(&mut browser)?;
    the_keyboard_presses_a_button(&stage, &mut browser)?;
    a_screen_reader_can_tell_all_parts(&mut browser)?;
    can_be_read(&mut browser, Scheme::Light)?;
    can_be_read(&mut browser, Scheme::Dark)?;
    browser.resize(PHONE, true)?;
    browser.open(&url)?;
    assert_eq!(browser.evaluate::<u32>(WIDTH)?, PHONE.0, "a phone shows all without scrolling sideways");

    browser.run_scripts(false)?;
    browser.open(&url)?;
    browser.wait_for_reload()?;
    browser.run_scripts(true)?;
    browser.open(&url)?;
    assert_eq!(browser.complaints(), [""; 0], "the console is empty");
    stage.take_balancer().kill()?;
    browser.wait_until("document.querySelector('main').classList.contains('stale')")
}

fn it_keeps_itself_up_to_date(stage: &Stage, browser: &mut Browser) -> Result<()> {
    let states =
        "[...document.querySelectorAll('td.status')].filter((cell) => cell.textContent === 'UP').length";
    // Three servers and their backend, twice.
    browser.wait_until(&format!("{states} === 8"))?;
    assert_eq!(browser.evaluate::<String>(TOTAL)?, "0");
    curl::fetch(&stage.lab.lan_clients[0], stage.web(), CONNECTIONS)?;
    browser.wait_until(&format!("{TOTAL} === '{CONNECTIONS}'"))
}

/// Links first, then each table, which can be scrolled; and what has the attention keeps it when the page changes.
fn the_keyboard_gets_everywhere(browser: &mut Browser) -> Result<()> {
    let mut names = Vec::new();
    for _ in 0..4 {
        browser.press_tab()?;
        names.push(browser.evaluate::<String>(FOCUSED)?);
    }
    assert_eq!(names, ["CSV", "JSON", "Metrics", "Table of frontends"]);
    browser.evaluate::<bool>("document.activeElement.dataset.before = 'yes', true")?;
    browser.wait_until("!document.querySelector('[data-before]')")?;
    assert_eq!(browser.evaluate::<String>(FOCUSED)?, names[3]);
    Ok(())
}

/// Of the first backend's first server. Who has pressed a button is still there on the page that comes of it.
fn the_keyboard_presses_a_button(stage: &Stage, browser: &mut Browser) -> Result<()> {
    let mut names = Vec::new();
    for _ in 0..3 {
        browser.press_tab()?;
        names.push(browser.evaluate::<String>(FOCUSED)?);
    }
    assert!(names[0].starts_with("Table of backend-"), "{names:?}");
    assert_eq!(names[1..], ["ready bettley", "drain bettley"]);
    browser.press_enter()?;
    assert!(
        browser
            .evaluate::<String>("document.querySelector('[role=status]').textContent")?
            .starts_with("Done.")
    );
    assert_eq!(stage.server("bettley")?.state, "DRAIN");
    let pressed = "document.activeElement.ariaPressed === 'true'";
    browser.wait_until(&format!("({FOCUSED}) === 'drain bettley' && {pressed}"))
}

fn a_screen_reader_can_tell_all_parts(browser: &mut Browser) -> Result<()> {
    let parts = browser.parts()?;
    let root = |part: &&Part| part.role != "RootWebArea";
    let nameless = |part: &&Part| part.name.is_empty() && (part.is_focusable || NAMED.contains(&&*part.role));
    let found: Vec<_> = parts.iter().filter(root).filter(nameless).collect();
    assert!(found.is_empty(), "these have no name: {found:?}");
    for role in
        ["main", "navigation", "link", "button", "table", "columnheader", "rowheader", "image", "heading"]
    {
        assert!(parts.iter().any(|part| part.role == role), "no {role} among {parts:?}");
    }
    let table = Part { role: "table".to_owned(), name: format!("Backend {WEB}"), is_focusable: false };
    assert!(parts.contains(&table), "{parts:?}");

    let levels =
        "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map((head) => Number(head.tagName[1]))";
    let levels: Vec<u8> = browser.evaluate(levels)?;
    assert!(levels[0] == 1 && !levels[1..].contains(&1), "one heading is over all: {levels:?}");
    assert!(levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "headings leave no level out: {levels:?}");
    assert_eq!(browser.evaluate::<String>("document.documentElement.lang")?, "en");
    assert!(browser.evaluate::<String>("document.title")?.contains("statistics"));
    let twice = "(() => { const all = [...document.querySelectorAll('[id]')].map((part) => part.id);
        return all.filter((id, place) => all.indexOf(id) !== place); })()";
    assert_eq!(browser.evaluate::<Vec<String>>(twice)?, [""; 0], "a name points to one part");
    Ok(())
}

fn can_be_read(browser: &mut Browser, scheme: Scheme) -> Result<()> {
    browser.prefer(scheme)?;
    let red = "Number(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])";
    let red: u8 = browser.evaluate(red)?;
    assert_eq!(red < 64, scheme == Scheme::Dark, "the page's red is {red}");
    assert_eq!(browser.evaluate::<Vec<String>>(CONTRAST)?, [""; 0], "{scheme:?}");
    Ok(())
}
