"use strict";
const live = document.getElementById("live");
const renew = async () => {
  if (document.hidden) return;
  try {
    const answer = await fetch(live.dataset.source, { credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) throw new Error(answer.status);
    const scrolled = [...live.querySelectorAll(".scroll")].map((part) => part.scrollLeft);
    const focused = [...live.querySelectorAll(".scroll")].indexOf(document.activeElement);
    live.innerHTML = await answer.text();
    const parts = live.querySelectorAll(".scroll");
    parts.forEach((part, place) => { part.scrollLeft = scrolled[place] || 0; });
    if (focused >= 0 && parts[focused]) parts[focused].focus({ preventScroll: true });
    live.classList.remove("stale");
  } catch { live.classList.add("stale"); }
};
setInterval(renew, Math.min(Number(live.dataset.seconds), 2) * 1000);
