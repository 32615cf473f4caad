// Draws dashboard.parts.markup's elements, which Dash's renderer then need not look after.
(() => {
  "use strict";
  const { createElement, Fragment } = window.React;
  const draw = (node) => (typeof node === "string" ? node
    : createElement(node[0], node[1], ...node[2].map(draw)));

  window.dashboard = {
    Markup: ({ nodes }) => createElement(Fragment, null, ...nodes.map(draw)),
  };
})();
