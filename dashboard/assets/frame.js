// What the frame does in the browser: colours, addresses, following, and the buttons.
(() => {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const keep = () => clientside.no_update;
  const dark = window.matchMedia("(prefers-color-scheme: dark)");
  const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
  // How often an open page asks whether there is news.
  const ASK_MS = 1000;
  // Who changes this parameter makes a step of the browser's history, which Back takes back.
  const STEP = "trials";
  // So many values of it count, the last ones: as dashboard.pages.study.view.
  const MOST_OF_STEP = 12;

  // The search that we wrote into the address ourselves; it asks for no new page.
  let written = null;
  let asking = false;
  // The view as it now is: parameter to list of texts.
  let shown = {};
  // What `shown` is the view of; and whether the browser went back to it.
  let shownOn = null;
  let is_back = false;
  // The change token that what is shown was made at; null while a page is on its way.
  let seen = null;
  // What the page was asked for by, and the studies it is about; none means all.
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

  const askForNews = async () => {
    if (asking || document.hidden || seen === null) return;
    asking = true;
    try {
      const names = about.map((name) => `name=${encodeURIComponent(name)}`);
      const answer = await fetch(`/change-token?${names.join("&")}`);
      if (answer.status === 401) {
        window.location.reload();
        return;
      }
      const { change_token: now, trouble } = await answer.json();
      say(trouble || clientside.charts.trouble());
      if (trouble || now === seen || seen === null) return;
      // A notice that says why there is no page may be out of date.
      if (document.querySelector("#content .notice") && !document.querySelector("#content .card")) {
        seen = null;
        clientside.set_props("route", { data: { ...route, change_token: now } });
        return;
      }
      seen = now;
      clientside.set_props("change-token", { data: now });
    } catch {
      say("The dashboard's server does not answer; what is shown may be old.");
    } finally {
      asking = false;
    }
  };

  // Not Dash's interval, which has the whole page look at each of its ticks.
  window.setInterval(askForNews, ASK_MS);

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
      const is_step = shownOn === route && !is_back && !same(texts(shown[STEP]), texts(query[STEP]));
      [shown, shownOn, is_back] = [query, route, false];
      for (const box of document.querySelectorAll("button[role=checkbox][data-toggle]")) {
        const { toggle, value } = box.dataset;
        box.setAttribute("aria-checked", String((query[toggle] || []).includes(value)));
      }
      // A menu shows what its store holds, whoever has changed that.
      for (const menu of document.querySelectorAll("select[data-view]")) {
        const [value] = query[menu.dataset.view] || [menu.dataset.default];
        if ([...menu.options].some((option) => option.value === value)) menu.value = value;
      }
      const now = search(query);
      if (now !== window.location.search && route.path === window.location.pathname) {
        written = now;
        const write = is_step ? "pushState" : "replaceState";
        window.history[write](window.history.state, "", route.path + now);
        // Both, or dcc.Location would put the old one back.
        clientside.set_props("location", { search: now, href: window.location.href });
      }
      return same(query, before) ? keep() : query;
    },

    arrived: (data) => {
      if (data) {
        if (data.title) document.title = data.title;
        seen = data.change_token;
      }
      clientside.charts.begin();
      return keep();
    },
  };

  // Emptied by hand as well: dcc.Input would write NaN into a field of numbers (dash 4.4).
  const empty = (name) => {
    const field = document.getElementById(JSON.stringify({ default: "", view: name }));
    if (field) field.value = "";
    clientside.set_props({ view: name, default: "" }, { value: null });
  };
  clientside.frame.empty = empty;

  // The values that count: of too many those that were added last.
  const latest = (values) => values.slice(-MOST_OF_STEP);
  Object.assign(clientside.frame, { latest, most: MOST_OF_STEP });

  // Puts a value into a parameter's list, or takes it out; tells whether it is in it now.
  const flip = (name, value) => {
    const before = shown[name] || [];
    const kept = before.filter((other) => other !== value && other !== "");
    const added = before.includes(value) ? [] : [value];
    const values = [...kept, ...added];
    clientside.set_props({ view: name, default: "" }, { data: name === STEP ? latest(values) : values });
    return added.length > 0;
  };
  clientside.frame.flip = flip;

  // A step back or forth that changes the selection alone is made on the page that is there.
  const others = (query) => Object.entries(query).filter(([name]) => name !== STEP).sort();
  window.addEventListener("popstate", () => {
    if (!route || window.location.pathname !== route.path) return;
    const then = parse(window.location.search);
    // A link within the page is such a step as well, of nothing.
    if (same(texts(then[STEP]), texts(shown[STEP]))) return;
    if (!same(others(then), others(shown))) return;
    written = window.location.search;
    is_back = true;
    clientside.set_props({ view: STEP, default: "" }, { data: then[STEP] || [] });
  }, { capture: true });

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
    // Plotly's buttons have a data-toggle of their own.
    if (!button || button.closest(".modebar")) return;
    const { save, kind, file, set, toggle, value } = button.dataset;
    if (save) {
      const graph = document.querySelector(`#${CSS.escape(save)} .js-plotly-plot`);
      // Not yet drawn: there is no picture to save.
      if (graph) clientside.charts.save(graph, kind, file);
    } else if (set) {
      clientside.set_props({ view: set, default: button.dataset.default || "" }, { data: value });
      if (button.dataset.resets) empty(button.dataset.resets);
    } else if (toggle) {
      const is_added = flip(toggle, value);
      // At once, for whoever cannot see that the page is at work.
      if (button.role === "checkbox") button.ariaChecked = String(is_added);
    }
  });
})();
