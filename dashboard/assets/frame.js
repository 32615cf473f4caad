// What the frame does in the browser: colours, addresses, following, and the buttons.
(() => {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const keep = () => clientside.no_update;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  // How often an open page asks whether there is news.
  const PULSE_MS = 1000;

  // The search that we wrote into the address ourselves; it asks for no new page.
  let written = null;
  let asking = false;
  // The view as it now is: parameter to list of texts.
  let shown = {};
  // The pulse that what is shown was made at; null while a page is on its way.
  let seen = null;
  // What the page was asked for by, and the studies it is about; none stands for all.
  let route = null;
  let about = [];
  let banner = "";

  const parse = (search) => {
    const query = {};
    for (const [name, value] of new URLSearchParams(search)) {
      (query[name] = query[name] || []).push(value);
    }
    return query;
  };

  const texts = (value) => {
    if (value === null || value === undefined || value === "" || value === false) return [];
    return (Array.isArray(value) ? value : [value]).map(String);
  };

  // Spaces as %20 and all else quoted as Python's quote() does, so that one view has one address.
  const search = (query) => {
    const pairs = Object.entries(query).flatMap(([name, values]) =>
      values.map((value) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`));
    return pairs.length ? `?${pairs.join("&")}` : "";
  };

  const say = (sentence) => {
    if (sentence === banner) return;
    banner = sentence;
    clientside.set_props("banner", { children: sentence, hidden: !sentence });
  };

  const pulse = async () => {
    if (asking || document.hidden || seen === null) return;
    asking = true;
    try {
      const names = about.map((name) => `name=${encodeURIComponent(name)}`);
      const answer = await fetch(`/pulse?${names.join("&")}`);
      if (answer.status === 401) {
        window.location.reload();
        return;
      }
      const { pulse: now, trouble } = await answer.json();
      say(trouble || clientside.charts.trouble());
      if (trouble || now === seen || seen === null) return;
      // In place of a page stands why there is none, which may not be so any more.
      if (document.querySelector("#content .notice") && !document.querySelector("#content .card")) {
        seen = null;
        clientside.set_props("route", { data: { ...route, pulse: now } });
        return;
      }
      seen = now;
      clientside.set_props("pulse", { data: now });
    } catch {
      say("The dashboard's server does not answer; what is shown may be old.");
    } finally {
      asking = false;
    }
  };

  // Not Dash's interval, which has the whole page look at each of its ticks.
  window.setInterval(pulse, PULSE_MS);

  dark.addEventListener("change", () => {
    clientside.set_props("scheme", { data: dark.matches ? "dark" : "light" });
  });

  clientside.frame = {
    scheme: () => (dark.matches ? "dark" : "light"),

    // Gives what the page is asked for by, and at the first page its view as well, so that the
    // controls bring no news when they come.
    route: (pathname, found, scheme, before) => {
      if (!scheme || pathname === undefined) return [keep(), keep()];
      const address = pathname + found;
      const current = written === null ? before && before.address : before.path + written;
      // Shown already: a change of colours alone is the figures' business.
      if (address === current) return [keep(), keep()];
      const query = parse(found);
      written = null;
      seen = null;
      about = query.name || [];
      route = { path: pathname, query, address, scheme };
      return [route, before ? keep() : query];
    },

    view: (_values, _datas, before) => {
      if (!route) return keep();
      const query = { ...route.query };
      for (const inputs of clientside.callback_context.inputs_list) {
        for (const { id, value } of inputs) {
          // Each control matches both patterns; only one of them finds something.
          if (value === undefined) continue;
          delete query[id.view];
          const list = texts(value);
          if (!same(list, texts(id.default))) query[id.view] = list.length ? list : [""];
        }
      }
      shown = query;
      const now = search(query);
      if (now !== window.location.search && route.path === window.location.pathname) {
        written = now;
        window.history.replaceState(window.history.state, "", route.path + now);
        // Both, or dcc.Location would put the old one back.
        clientside.set_props("location", { search: now, href: window.location.href });
      }
      return same(query, before) ? keep() : query;
    },

    arrived: (data) => {
      if (data) {
        if (data.title) document.title = data.title;
        seen = data.pulse;
      }
      clientside.charts.begin();
      return keep();
    },
  };

  // A link to a page of ours: only the address changes, and dcc.Location is told (dash 4.4).
  document.addEventListener("click", (event) => {
    const inner = event.target.closest("a[data-page]");
    const is_plain = !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!inner || !is_plain) return;
    event.preventDefault();
    window.history.pushState({}, "", inner.href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    const { save, kind, file, set, toggle, value } = button.dataset;
    if (save) {
      const graph = document.querySelector(`#${CSS.escape(save)} .js-plotly-plot`);
      // Not yet drawn: there is no picture to save.
      if (graph) clientside.charts.save(graph, kind, file);
    } else if (set) {
      clientside.set_props({ view: set, default: button.dataset.default || "" }, { data: value });
    } else if (toggle) {
      const kept = (shown[toggle] || []).filter((other) => other !== value && other !== "");
      const added = (shown[toggle] || []).includes(value) ? [] : [value];
      clientside.set_props({ view: toggle, default: "" }, { data: [...kept, ...added] });
    }
  });
})();
