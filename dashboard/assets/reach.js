// Getting about a page: what is folded, the first row of a table, rows that are picked by a click.
(() => {
  "use strict";
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-unfold], a[data-first]");
    if (!link) return;
    const place = document.querySelector(link.hash);
    if (!place) return;
    event.preventDefault();
    if (place.tagName === "DETAILS") place.open = true;
    const target = place.querySelector(link.dataset.first || "summary");
    (target || place).scrollIntoView({ block: "center" });
    target?.focus();
  });

  // What says in a line what is out of view: looked at while one scrolls, and when the page grows.
  const EDGE_PX = 80;
  let isAsked = false;
  const look = () => {
    isAsked = false;
    for (const line of document.querySelectorAll("[data-away-from]")) {
      const place = document.querySelector(line.dataset.awayFrom);
      if (!place) continue;
      // What it is in may be scrolled; and while it is not there, is where it will be.
      const around = place.parentElement.getBoundingClientRect();
      const { top, bottom } = place.offsetHeight ? place.getBoundingClientRect() : around;
      const isAway = Math.min(bottom, around.bottom) < EDGE_PX || top > window.innerHeight - EDGE_PX;
      line.toggleAttribute("data-is-away", isAway);
    }
  };
  const lookSoon = () => {
    if (!isAsked) window.requestAnimationFrame(look);
    isAsked = true;
  };
  window.addEventListener("scroll", lookSoon, { passive: true });
  window.addEventListener("resize", lookSoon);
  new ResizeObserver(lookSoon).observe(document.documentElement);

  // The rows of a folded table are asked for once it is unfolded, and followed until it is folded.
  document.addEventListener("toggle", ({ target }) => {
    for (const { dataset } of target.querySelectorAll("[data-folded]")) {
      window.dash_clientside.set_props({ table: dataset.folded }, { is_open: target.open });
    }
  }, { capture: true });

  // A click anywhere in a row presses the row's button; words that are marked are to be copied.
  document.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-picks]");
    if (!row || event.target.closest("a, button") || String(window.getSelection())) return;
    row.querySelector(row.dataset.picks)?.click();
  });
})();
