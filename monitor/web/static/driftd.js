// Keeps the page fresh: asks for it again and puts in what has changed. Without it the page reads the same.
"use strict";
(() => {
  const EVERY = 10_000;           // milliseconds between two looks
  const live = document.getElementById("live");
  let tag = null, failed = 0;

  const busy = () => {            // what a reload would take away from somebody
    const main = document.getElementById("main"), at = document.activeElement;
    return document.hidden || (at && at.closest("form")) || main.querySelector("form[data-touched]") ||
      String(window.getSelection()) !== "";
  };

  const swap = (text) => {
    const fresh = new DOMParser().parseFromString(text, "text/html");
    const from = document.getElementById("main"), to = fresh.getElementById("main");
    if (!to || from.innerHTML === to.innerHTML) return;
    const open = [...from.querySelectorAll("details")].map((one) => one.open);
    const active = document.activeElement;
    const place = active && from.contains(active) ? [...from.querySelectorAll("a,button,summary,[tabindex]")].indexOf(active) : -1;
    [...to.querySelectorAll("details")].forEach((one, at) => { one.open = open[at] ?? one.open; });
    from.replaceChildren(...to.childNodes);
    document.title = fresh.title;
    if (place >= 0) from.querySelectorAll("a,button,summary,[tabindex]")[place]?.focus({ preventScroll: true });
    ages();
  };

  const look = async () => {
    if (busy()) return;
    try {
      const here = location.origin + location.pathname + location.search;     // without credentials
      const headers = { Accept: "text/html", ...(tag ? { "If-None-Match": tag } : {}) };
      const answer = await fetch(here, { headers, cache: "no-store", redirect: "manual" });
      if (answer.type === "opaqueredirect") {       // the session has ended: the page leads to where one signs in
        location.reload();
      } else if (answer.status === 200) {
        tag = answer.headers.get("ETag");
        swap(await answer.text());
      } else if (answer.status !== 304) {
        throw new Error(String(answer.status));
      }
      failed = 0;
      live.textContent = "live";
      live.className = "on";
    } catch {
      failed += 1;
      live.textContent = failed > 1 ? "no answer, trying again" : "";
      live.className = "off";
    }
  };

  const ages = () => {            // "3 min ago" beside what is exact
    for (const one of document.querySelectorAll("time[datetime]")) {
      const seconds = (Date.now() - Date.parse(one.dateTime)) / 1000;
      if (Number.isNaN(seconds)) continue;
      const far = Math.abs(seconds), unit = far < 3600 ? [60, "min"] : far < 86_400 ? [3600, "h"] : [86_400, "days"];
      const count = Math.round(far / unit[0]);
      one.title = far < 60 ? "now" : seconds > 0 ? `${count} ${unit[1]} ago` : `in ${count} ${unit[1]}`;
    }
  };

  document.addEventListener("input", (event) => event.target.closest("form")?.setAttribute("data-touched", ""));
  ages();
  live.textContent = "live";
  live.className = "on";
  setInterval(look, EVERY);
  document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
})();
