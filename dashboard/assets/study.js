// What the page of a study does in the browser: picking, zooming, and the replay.
(() => {
  "use strict";
  const clientside = (window.dash_clientside = window.dash_clientside || {});
  const keep = () => clientside.no_update;
  const replayed = "until";
  // A click so near to a line is one on it.
  const REACH_PX = 10;
  const short = (number) => Number(number.toPrecision(6));

  clientside.study = {
    // A click on a trial's mark puts it into the selection, or takes it out.
    pick: (click, selected) => {
      const number = click && click.points[0].customdata && click.points[0].customdata[0];
      if (!Number.isInteger(number)) return [keep(), keep()];
      const text = String(number);
      // A button that selects one trial alone leaves its text, not a list.
      const before = [].concat(selected || []);
      const others = before.filter((other) => other !== text);
      const is_selected = others.length < before.length;
      // The click is forgotten, so that a second one on the same mark is news.
      return [is_selected ? others : clientside.frame.latest([...others, text]), null];
    },

    // A box or lasso adds the trials whose marks are in it: of too many those of the front first.
    pickMany: (chosen, selected) => {
      const points = (chosen && chosen.points) || [];
      const [chart] = clientside.callback_context.triggered[0].prop_id.split(".");
      const { data } = document.querySelector(`#${chart} .js-plotly-plot`);
      const is_front = (point) => String(data[point.curveNumber].name).startsWith("front");
      const found = [...points.filter(is_front), ...points.filter((point) => !is_front(point))]
        .map((point) => point.customdata && point.customdata[0])
        .filter(Number.isInteger).map(String);
      if (!found.length) return [keep()];
      const added = [...new Set(found)].slice(0, clientside.frame.most);
      const before = [].concat(selected || []);
      const others = before.filter((other) => other !== "" && !added.includes(other));
      return [clientside.frame.latest([...others, ...added])];
    },

    // The limit's line was dragged: its name says how the bound follows from where it lies.
    limit: (moved) => {
      const key = Object.keys(moved || {}).find((name) => /^shapes\[\d+\]\.x0$/.test(name));
      if (!key) return [keep()];
      const place = key.match(/\d+/)[0];
      const [chart] = clientside.callback_context.triggered[0].prop_id.split(".");
      const { layout } = document.querySelector(`#${chart} .js-plotly-plot`);
      const [mark, along, teacher, slope, offset] = (layout.shapes[place].name || "").split(" ");
      if (mark !== "limit") return [keep()];
      const at = Number(moved[`shapes[${place}].${along}0`]);
      const value = teacher === "percent" ? at : Number(teacher) - 10 ** -at;
      const bound = Number(slope) * value + Number(offset);
      return [Math.max(0, Number(bound.toPrecision(4)))];
    },

    // A bound is a line of the chart: where the axis does not show it, one that does takes over.
    across: (bound, kind, axis, axes) => {
      const fitting = axes[kind];
      const is_bounded = bound !== null && bound !== undefined && bound !== "";
      if (!is_bounded || !fitting || fitting.includes(axis)) return [keep()];
      return [fitting[0]];
    },

    // A zoom belongs to an axis, whose name comes before its four numbers.
    zoom: (moved) => {
      const names = Object.keys(moved || {});
      if (names.some((name) => name.endsWith(".autorange"))) return [""];
      if (!names.some((name) => /^[xy]axis\.range/.test(name))) return [keep()];
      const [chart] = clientside.callback_context.triggered[0].prop_id.split(".");
      const { layout } = document.querySelector(`#${chart} .js-plotly-plot`);
      const numbers = [...layout.xaxis.range, ...layout.yaxis.range].map(short);
      return [[layout.uirevision, ...numbers].join("_")];
    },

    // At its right end the replay is the present, which moves on. That the end has moved is no
    // other moment, and nothing that follows from one.
    replay: (value, most, before) => {
      const until = Number(value) >= Number(most) ? "" : String(value);
      return [until === String(before ?? "") ? keep() : until];
    },

    play: (_clicks, is_resting, value, most) => {
      if (!is_resting) return [true, "Play", keep()];
      return [false, "Pause", Number(value) >= Number(most) ? 0 : keep()];
    },

    step: (_tick, value, most) => {
      const next = Math.min(Number(value) + Math.max(1, Math.ceil(most / 60)), Number(most));
      const is_over = next >= Number(most);
      return [next, is_over ? true : keep(), is_over ? "Play" : keep()];
    },
  };

  // How far from a point, all in pixels, the line between two others passes.
  const distance = (x, y, [left, from], [right, to]) => {
    const [across, up] = [right - left, to - from];
    const along = ((x - left) * across + (y - from) * up) / (across ** 2 + up ** 2);
    const share = Math.min(Math.max(along, 0), 1);
    return Math.hypot(x - left - share * across, y - from - share * up);
  };

  // The line that passes under the pointer or next to it, the one on top first: its trial, and the
  // points of it.
  const lineAt = (graph, event) => {
    const { xaxis, yaxis } = graph._fullLayout;
    const box = graph.getBoundingClientRect();
    const x = event.clientX - box.left - xaxis._offset;
    const y = event.clientY - box.top - yaxis._offset;
    let [nearest, found] = [REACH_PX, null];
    for (const { x: across, y: up, customdata } of graph.data) {
      if (!customdata) continue;
      const points = up.map((height, i) => [xaxis.d2p(across[i]), yaxis.d2p(height)]);
      for (let i = 1; i < points.length; i += 1) {
        if (up[i - 1] === null || up[i] === null) continue;
        const away = distance(x, y, points[i - 1], points[i]);
        if (away > nearest) continue;
        const number = customdata[i][0];
        const is_its = (_point, place) => customdata[place]?.[0] === number && up[place] !== null;
        [nearest, found] = [away, { number, points: points.filter(is_its) }];
      }
    }
    return found;
  };

  // Plotly has clicks and hovers on a line's points alone.
  const onLines = (kind, act) => document.addEventListener(kind, (event) => {
    const graph = event.target.closest("#study-parallel .js-plotly-plot");
    act(graph && event.target.closest(".draglayer") ? graph : null, event);
  });

  onLines("click", (graph, event) => {
    const line = graph && lineAt(graph, event);
    if (line) clientside.frame.flip("trials", String(line.number));
  });

  onLines("mousemove", (graph, event) => {
    for (const before of document.querySelectorAll(".under-pointer")) before.remove();
    const line = graph && lineAt(graph, event);
    if (!line) return;
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("class", "under-pointer");
    path.setAttribute("d", `M${line.points.map((point) => point.join(" ")).join("L")}`);
    graph.querySelector(".scatterlayer").parentNode.append(path);
  });

  // A chip takes its filter back: all of it, or the one value of several that it stands for.
  document.addEventListener("click", (event) => {
    const chip = event.target.closest("button[data-clear]");
    if (!chip) return;
    const { clear, value } = chip.dataset;
    for (const name of clear.split(" ")) {
      if (name === replayed) {
        const slider = document.getElementById("study-replay");
        clientside.set_props(slider.id, { value: Number(slider.max) });
        continue;
      }
      if (name === "hide" || name === "only") {
        const kept = new URLSearchParams(window.location.search).getAll(name);
        const left = value === undefined ? [] : kept.filter((other) => other !== value);
        clientside.set_props({ view: name, default: "" }, { data: left });
      } else {
        clientside.frame.empty(name);
      }
    }
  });
})();
