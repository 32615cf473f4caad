// Stars and notes on trials: they stay in this browser, and leave it as a file only.
(() => {
  "use strict";
  const KEY = "mlgsearch.notes";
  const MARKED = "[data-star], [data-note], [data-starred]";

  // Study (see `of`) to trial to { star, note }. A browser may refuse to keep anything.
  const read = () => {
    try {
      return JSON.parse(window.localStorage.getItem(KEY)) || {};
    } catch {
      return {};
    }
  };

  const keep = (all) => {
    try {
      window.localStorage.setItem(KEY, JSON.stringify(all));
    } catch {
      // What cannot be kept is seen at the next look: the star goes out again.
    }
  };

  // What a study's notes are kept under: another may have had its name before. Those kept under its
  // name alone, as once they were, become its own.
  const of = (all, { study, created }) => {
    const key = `${study} ${created || ""}`;
    if (all[study]) {
      all[key] = { ...all[study], ...all[key] };
      delete all[study];
      keep(all);
    }
    return (all[key] = all[key] || {});
  };

  const change = (dataset, changes) => {
    const all = read();
    const [own, { trial }] = [of(all, dataset), dataset];
    own[trial] = { star: false, note: "", ...own[trial], ...changes };
    if (!own[trial].star && !own[trial].note) delete own[trial];
    keep(all);
    refresh();
  };

  const set = (element, name, value) => {
    if (element.getAttribute(name) !== value) element.setAttribute(name, value);
  };

  // Shows what is kept in elements that the page has just drawn.
  const refresh = () => {
    const elements = document.querySelectorAll(MARKED);
    if (!elements.length) return;
    const all = read();
    for (const element of elements) {
      const { trial, star, note } = element.dataset;
      const kept = of(all, element.dataset)[trial] || { star: false, note: "" };
      if (star !== undefined) {
        set(element, "aria-pressed", String(kept.star));
      } else if (note !== undefined) {
        if (element !== document.activeElement && element.value !== kept.note) element.value = kept.note;
      } else {
        set(element, "data-starred", kept.star ? "star" : kept.note ? "note" : "");
      }
    }
  };

  const save = (dataset) => {
    const { study } = dataset;
    const kept = Object.entries(of(read(), dataset));
    const rows = kept.map(([trial, { star, note }]) => ({ study, trial: Number(trial), star, note }));
    const link = document.createElement("a");
    const blob = new Blob([`${JSON.stringify(rows, null, 2)}\n`], { type: "application/json" });
    link.href = URL.createObjectURL(blob);
    link.download = "notes.json";
    link.click();
    window.setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  };

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-star], button[data-export-notes]");
    if (!button) return;
    if (button.dataset.exportNotes !== undefined) save(button.dataset);
    else change(button.dataset, { star: button.getAttribute("aria-pressed") !== "true" });
  });
  document.addEventListener("input", (event) => {
    if (event.target.dataset.note !== undefined) {
      change(event.target.dataset, { note: event.target.value });
    }
  });
  // Another tab of this browser starred.
  window.addEventListener("storage", refresh);

  let asked = false;
  new MutationObserver(() => {
    if (asked) return;
    asked = true;
    window.requestAnimationFrame(() => {
      asked = false;
      refresh();
    });
  }).observe(document, { childList: true, subtree: true });
})();
