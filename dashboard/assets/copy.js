// Buttons that copy the text of an element, also where the page has no right to the clipboard.
(() => {
  "use strict";
  const SHOWN_MS = 2000;

  // The clipboard's interface is for https and the loopback only; a selection works everywhere.
  const copySelected = (element) => {
    const selection = window.getSelection();
    selection.selectAllChildren(element);
    const done = document.execCommand("copy");
    if (done) selection.removeAllRanges();
    return done;
  };

  const copy = async (element) => {
    if (!navigator.clipboard) return copySelected(element);
    try {
      await navigator.clipboard.writeText(element.textContent);
      return true;
    } catch {
      return copySelected(element);
    }
  };

  const answer = (button, done) => {
    const label = button.dataset.label || button.textContent;
    button.dataset.label = label;
    button.textContent = done ? "Copied" : "Press Ctrl+C";
    window.setTimeout(() => {
      button.textContent = label;
    }, SHOWN_MS);
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy]");
    if (!button) return;
    answer(button, await copy(document.getElementById(button.dataset.copy)));
  });

  // The address holds the whole view. It is in the page only while it is copied.
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-copy-link]");
    if (!button) return;
    const text = document.createElement("span");
    text.textContent = window.location.href;
    text.className = "unseen";
    document.body.append(text);
    const done = await copy(text);
    text.remove();
    answer(button, done);
  });
})();
