// When plotly runs, and which charts it draws.
(() => {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  // So long after the document a page's content is long in coming.
  const LONG_MS = 2000;

  // Whether a chart that was drawn is on the screen, or nearly.
  const near = new WeakMap();
  // What charts that are not are still to show.
  const late = new Map();
  let draw = null;

  const catchUp = (chart) => {
    const figure = late.get(chart);
    late.delete(chart);
    return figure && chart.isConnected ? draw(chart, ...figure).then(named) : Promise.resolve(chart);
  };

  // A tab that is not seen is not painted.
  const afterPainting = (act) => {
    if (document.hidden) act();
    else window.requestAnimationFrame(() => window.setTimeout(act, 0));
  };

  // An image has no buttons in it: plotly's drawing has a name as one, its toolbar is beside it.
  const named = (chart) => {
    const drawing = chart.closest(".drawing");
    const image = chart.querySelector(".main-svg");
    if (!drawing || !image) return chart;
    const { name, summary, table } = drawing.dataset;
    const texts = { role: "img", "aria-label": name, "aria-describedby": summary, "aria-details": table };
    for (const [key, text] of Object.entries(texts)) image.setAttribute(key, text);
    return chart;
  };

  // To draw a chart anew takes the browser some hundredths of a second, and a page has several: what
  // came with it, such as the answer to a click, is seen before, and one that cannot be seen waits
  // until it can. Drawn is what it was to show last.
  const drawTheSeen = (plotly) => {
    draw = plotly.react;
    const watch = new IntersectionObserver((changes) => {
      for (const { target, isIntersecting } of changes) {
        near.set(target, isIntersecting);
        if (isIntersecting) catchUp(target);
      }
    }, { rootMargin: "200px" });
    plotly.react = (chart, ...figure) => {
      if (!near.has(chart)) {
        near.set(chart, true);
        watch.observe(chart);
        return draw(chart, ...figure).then(named);
      }
      for (const gone of late.keys()) if (!gone.isConnected) late.delete(gone);
      late.set(chart, figure);
      if (!near.get(chart)) return Promise.resolve(chart);
      return new Promise((resolve) => {
        afterPainting(() => resolve(catchUp(chart)));
      });
    };
    // On paper all of a page is seen.
    window.addEventListener("beforeprint", () => [...late.keys()].forEach(catchUp));
  };

  // Most of what a first chart takes the browser is running plotly, a second on a slow machine, in
  // which it does nothing else: it is fetched from the page's first line on, and runs once there is
  // something to be read, or once that is long in coming. Dash awaits what window.Plotly is (dash
  // 4.4, dcc.Graph). It never asks again for what failed, and a fetch from the first line that
  // failed fails the script as well; so it is the second script that does not load that counts.
  let attempts = 0;
  let runPlotly = null;
  window.Plotly = new Promise((resolve, reject) => {
    const load = () => {
      attempts += 1;
      const library = document.createElement("script");
      library.src = document.querySelector("link[href$='/plotly.min.js']").href;
      library.addEventListener("load", () => {
        drawTheSeen(window.Plotly);
        resolve();
      });
      library.addEventListener("error", () => {
        if (attempts === 1) {
          load();
          return;
        }
        delete window.Plotly;
        reject(new Error("plotly.js did not load"));
      });
      document.head.append(library);
    };
    runPlotly = () => {
      if (attempts === 0) load();
    };
  });
  window.addEventListener("load", () => window.setTimeout(runPlotly, LONG_MS));

  clientside.charts = {
    // Why there are none, for the banner. A next page's charts have Dash fetch the library as well.
    trouble: () => (window.Plotly || !document.querySelector("#content .chart")
      ? "" : "The library that draws the charts did not load: reload the page."),
    // Called once there is something to be read.
    begin: () => afterPainting(runPlotly),
    save: (chart, format, filename) => {
      catchUp(chart);
      window.Plotly.downloadImage(chart, { format, filename, scale: 2 });
    },
  };
})();
