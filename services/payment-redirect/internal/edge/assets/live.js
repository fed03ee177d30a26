// Keeps the order page true: the server says when something has changed, the page fetches itself and swaps its content.
// Without it the page asks to be reloaded (noscript). If the connection can't be had, it asks now and then.
"use strict";
(() => {
  const live = document.querySelector("[data-events]");
  if (!live) return;
  let shown = live.dataset.events;
  let source;
  const again = () => setTimeout(swap, 10000);
  async function swap() {
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      if (!answer.ok) return again();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const main = document.querySelector("main"), next = fresh.querySelector("main");
      if (!next) return again();
      // The live region stays where it is, so that its new words are read out.
      const status = main.querySelector("[role=status]"), said = next.querySelector("[role=status]");
      const focused = main.contains(document.activeElement) && document.activeElement !== main;
      if (status && said) {
        if (status.innerHTML !== said.innerHTML) status.innerHTML = said.innerHTML;
        said.replaceWith(status);
      }
      main.replaceChildren(...next.childNodes);
      if (focused) main.focus();
      document.title = fresh.title;
      const link = main.querySelector("[data-events]");
      if (!link) return source && source.close();
      shown = link.dataset.events;
      if (!source || source.readyState === EventSource.CLOSED) again();
    } catch {
      again();
    }
  }
  source = new EventSource(shown);
  source.addEventListener("changed", swap);
  source.onerror = () => { if (source.readyState === EventSource.CLOSED) again(); };
})();
