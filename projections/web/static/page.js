// Every few seconds the page asks for itself again and puts the new figures in place, without moving the reader.
"use strict";
(() => {
  const every = 5000;
  const state = document.getElementById("live");
  // On a phone the tabs scroll sideways: the one of this page comes into view.
  document.querySelector("nav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  // A form that somebody has begun to fill in, or that is on its way, stays as it is.
  const begun = new WeakSet();
  const changed = () => [...document.querySelectorAll("main form")].some((form) => begun.has(form));
  document.addEventListener("input", (event) => event.target.form && begun.add(event.target.form));
  document.addEventListener("submit", (event) => begun.add(event.target));
  const busy = () => {
    const active = document.activeElement;
    return document.hidden || changed() || (active && active.closest("form")) || String(document.getSelection()) !== "";
  };
  const refresh = async () => {
    if (busy()) return;
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" } });
      if (answer.redirected && new URL(answer.url).pathname === "/sign-in") { location.assign(answer.url); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const here = document.getElementById("figures");
      const there = page.getElementById("figures");
      if (!here || !there || busy()) return;
      if (here.innerHTML !== there.innerHTML) {
        const open = [...here.querySelectorAll("details")].map((detail) => detail.open);
        const focused = document.activeElement && document.activeElement.getAttribute("href");
        here.innerHTML = there.innerHTML;
        here.querySelectorAll("details").forEach((detail, index) => { detail.open = open[index] ?? detail.open; });
        if (focused) here.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
      }
      if (state) state.textContent = "";
    } catch {
      if (state) state.textContent = "No answer from the server: these figures may be old.";
    }
  };
  setInterval(refresh, every);
})();
