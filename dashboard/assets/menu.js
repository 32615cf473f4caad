// Menus of the browser's own: what is chosen goes into the menu's store, and so into the address.
(() => {
  "use strict";
  document.addEventListener("change", (event) => {
    const { view, default: usual } = event.target.dataset;
    if (event.target.tagName !== "SELECT" || view === undefined) return;
    window.dash_clientside.set_props({ view, default: usual }, { data: event.target.value });
  });
})();
