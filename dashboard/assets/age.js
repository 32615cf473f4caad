// Ages that count on from what the server said; its clock, not the browser's, is that of the study.
(() => {
  "use strict";
  const units = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  // Of each element: the age it was sent with, and when that was seen.
  const sent = new WeakMap();

  // As mlgsearch.words.duration: two units at most.
  const duration = (seconds) => {
    const place = Math.max(0, units.findIndex(([length]) => seconds >= length));
    if (seconds < 60) return `${Math.floor(seconds)} s`;
    const [length, name] = units[place];
    const [shorter, shorterName] = units[place + 1];
    const rest = Math.floor((seconds % length) / shorter);
    return `${Math.floor(seconds / length)} ${name}${rest ? ` ${rest} ${shorterName}` : ""}`;
  };

  window.setInterval(() => {
    if (document.hidden) return;
    for (const element of document.querySelectorAll("time[data-age]")) {
      const key = `${element.dateTime} ${element.dataset.age}`;
      if (sent.get(element)?.key !== key) sent.set(element, { key, at: performance.now() });
      const seconds = Number(element.dataset.age) + (performance.now() - sent.get(element).at) / 1000;
      element.firstChild.nodeValue = `${duration(seconds)} ago`;
    }
  }, 1000);
})();
