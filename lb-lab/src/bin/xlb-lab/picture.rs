//! Pictures as SVG, which is text: of a terminal, and of a page.

use std::fs;

use anstyle::RgbColor;
use anstyle_svg::{Palette, Term};
use anyhow::ensure;
use lb_lab::browser::Browser;
use lb_lab::{Host, Result};

/// Black on white, with colours that can be read on white.
const TEXT: RgbColor = RgbColor(0x1f, 0x23, 0x28);
const GREY: RgbColor = RgbColor(0x59, 0x63, 0x6e);
const PAPER: RgbColor = RgbColor(0xf6, 0xf8, 0xfa);
const RED: RgbColor = RgbColor(0xb4, 0x23, 0x18);
const GREEN: RgbColor = RgbColor(0x11, 0x63, 0x29);
const YELLOW: RgbColor = RgbColor(0x7d, 0x4e, 0x00);
const BLUE: RgbColor = RgbColor(0x05, 0x50, 0xae);
const MAGENTA: RgbColor = RgbColor(0x82, 0x50, 0xdf);
const CYAN: RgbColor = RgbColor(0x1b, 0x7c, 0x83);

/// The eight of a terminal, then the bright ones, of which none is brighter.
#[rustfmt::skip]
const COLOURS: [RgbColor; 16] = [
    TEXT, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, GREY,
    GREY, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, PAPER,
];

/// A picture that takes long to load is none for a README, in bytes.
const LARGEST: usize = 300_000;

/// Half of what is drawn can be said in fewer words; five digits are less than a pixel.
const SHORTENING: [&str; 6] = [
    "--quiet",
    "--set-precision=5",
    "--strip-xml-prolog",
    "--enable-id-stripping",
    "--shorten-ids",
    "--indent=none",
];

/// A terminal's screen, without the empty lines at its end.
pub fn of_terminal(screen: &str) -> anyhow::Result<String> {
    let term = Term::new().palette(Palette::from(COLOURS)).min_width_px(0);
    checked(term.fg_color(TEXT.into()).bg_color(PAPER.into()).render_svg(screen.trim_end()))
}

/// The page of a browser, as wide as its widest table and as long as all of it. Its letters become shapes, so it
/// looks the same wherever it is looked at.
pub fn of_page(host: &Host, browser: &mut Browser) -> anyhow::Result<String> {
    let size = size(browser)?;
    let print = browser.print(size)?;
    let [print_path, drawing_path] = ["page.pdf", "page.svg"].map(|name| host.sandbox().file(name));
    host.sandbox().inside(|| fs::write(&print_path, print))?;
    let [print_path, drawing_path] = [print_path, drawing_path].map(|path| path.display().to_string());
    host.run("pdftocairo", &["-svg", &print_path, &drawing_path])?;
    checked(host.run("scour", &[&SHORTENING[..], &["-i", &drawing_path]].concat())?)
}

/// In pixels of CSS. What is wider than the window can be scrolled to, but not on paper.
fn size(browser: &mut Browser) -> Result<(u32, u32)> {
    const WIDTH: &str = "Math.max(...[...document.querySelectorAll('table')].map((table) => table.offsetWidth)) \
                         + 2 * document.querySelector('main').offsetLeft";
    const HEIGHT: &str = "document.documentElement.scrollHeight";
    let width = browser.evaluate(WIDTH)?;
    browser.resize((width, 1), false)?;
    // A page that ends on the edge of the paper would have a second sheet.
    Ok((width, browser.evaluate::<u32>(HEIGHT)? + 1))
}

fn checked(picture: String) -> anyhow::Result<String> {
    ensure!(picture.len() <= LARGEST, "a picture has {} bytes, more than {LARGEST}", picture.len());
    Ok(picture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_keeps_its_text_and_colours() -> anyhow::Result<()> {
        let picture = of_terminal("fenn \x1b[32mUP\x1b[0m <1\n\x1b[7mgardener\x1b[0m\n\n\n")?;
        assert!(picture.contains("class=\"fg-green\">UP</tspan>"), "{picture}");
        assert!(picture.contains("fenn ") && picture.contains(" &lt;1"), "{picture}");
        assert!(picture.contains(".fg-green { fill: #116329 }"), "{picture}");
        // What is reversed has the paper's colour, on the text's.
        assert!(picture.contains("F6F8FA\">gardener</tspan>"), "{picture}");
        // Two lines, and what is behind the second.
        assert_eq!(picture.matches("<tspan x=").count(), 3, "{picture}");
        Ok(())
    }

    #[test]
    fn a_large_picture_is_refused() {
        assert!(of_terminal(&"x".repeat(LARGEST)).is_err());
    }
}
