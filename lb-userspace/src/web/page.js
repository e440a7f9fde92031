"use strict";
const live = document.getElementById("live");
const PAUSE = 2000;
const PATIENCE = 10000;
// The page's own address may have the password in it, which no request may.
const source = new URL(live.dataset.source, location.origin);
const renew = async () => {
  const signal = AbortSignal.timeout(PATIENCE);
  const answer = await fetch(source, { credentials: "same-origin", cache: "no-store", signal });
  if (!answer.ok) throw new Error(answer.status);
  const text = await answer.text();
  const before = [...live.querySelectorAll(".scroll")];
  const focused = before.indexOf(document.activeElement);
  const scrolled = before.map((part) => part.scrollLeft);
  live.innerHTML = text;
  const parts = live.querySelectorAll(".scroll");
  parts.forEach((part, place) => { part.scrollLeft = scrolled[place] || 0; });
  if (focused >= 0 && parts[focused]) parts[focused].focus({ preventScroll: true });
};
const again = async () => {
  try {
    if (!document.hidden) {
      await renew();
      live.classList.remove("stale");
    }
  } catch {
    live.classList.add("stale");
  } finally {
    setTimeout(again, PAUSE);
  }
};
setTimeout(again, PAUSE);
