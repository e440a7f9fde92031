// Lists what can hardly be read: texts whose contrast is below that of WCAG 2.1 (1.4.3), and lines of charts
// (1.4.11). Before that, cells get each mark of a server's state in turn, so that all of them are looked at.
(() => {
  const LEAST = { text: 4.5, largeText: 3, drawing: 3 };
  const STATES = ["up", "falling", "rising", "down", "out", "unchecked"];

  const colour = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
    return { red, green, blue, alpha };
  };
  const over = (upper, lower) => {
    const mixed = (part) => upper[part] * upper.alpha + lower[part] * (1 - upper.alpha);
    return { red: mixed("red"), green: mixed("green"), blue: mixed("blue"), alpha: 1 };
  };
  // What is seen behind an element. The page itself has to say what is behind everything.
  const behind = (element) => {
    if (!element) throw new Error("the page has no background of its own");
    const own = colour(getComputedStyle(element).backgroundColor);
    return own.alpha === 1 ? own : over(own, behind(element.parentElement));
  };
  const opacity = (element) =>
    element ? Number(getComputedStyle(element).opacity) * opacity(element.parentElement) : 1;
  const luminance = ({ red, green, blue }) => {
    const part = (value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    };
    return 0.2126 * part(red) + 0.7152 * part(green) + 0.0722 * part(blue);
  };
  const contrast = (element, drawn) => {
    const back = behind(element);
    const upper = colour(drawn);
    const front = over({ ...upper, alpha: upper.alpha * opacity(element) }, back);
    const [darker, lighter] = [luminance(front), luminance(back)].sort((a, b) => a - b);
    return (lighter + 0.05) / (darker + 0.05);
  };

  const cells = [...document.querySelectorAll("td")];
  STATES.forEach((state, place) => { cells[place].className = `status ${state}`; cells[place].textContent = state; });

  const bad = [];
  const look = (what, element, drawn, least) => {
    const found = contrast(element, drawn);
    if (found < least) bad.push(`${what}: ${found.toFixed(2)} in place of ${least}`);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    const text = texts.currentNode.data.trim();
    if (!text || !element.checkVisibility()) continue;
    const { color, fontSize, fontWeight } = getComputedStyle(element);
    const size = parseFloat(fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && Number(fontWeight) >= 700);
    look(text, element, color, isLarge ? LEAST.largeText : LEAST.text);
  }
  for (const line of document.querySelectorAll("polyline")) {
    look("a chart", line, getComputedStyle(line).stroke, LEAST.drawing);
  }
  return bad;
})()
