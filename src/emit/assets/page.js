// Comforts of the report, which is complete without them: a filter over groups, one switch for library frames, a
// theme button, everything open when printed.
"use strict";
(() => {
  const root = document.documentElement;

  function make(parent, name, properties, text) {
    const made = Object.assign(document.createElement(name), properties);
    if (text) made.textContent = text;
    parent.append(made);
    return made;
  }

  const theme = make(document.querySelector("header"), "button", { className: "theme", type: "button" });
  const dark = () => (root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches);
  const name = () => (theme.textContent = dark() ? "Light theme" : "Dark theme");
  theme.addEventListener("click", () => {
    root.dataset.theme = dark() ? "light" : "dark";
    name();
  });
  name();

  const groups = [...document.querySelectorAll("#groups .group")];
  const tools = document.querySelector("#groups .tools");
  if (groups.length > 0) {
    const texts = groups.map((group) => group.textContent.toLowerCase());
    const counts = groups.map((group) => +group.querySelector(".count").textContent.replaceAll(",", ""));
    const input = make(tools, "input", { type: "search", placeholder: "Filter: function, file, state, label \u2026", spellcheck: false });
    input.setAttribute("aria-label", "Filter groups");
    const label = make(tools, "label", {});
    const only = make(label, "input", { type: "checkbox" });
    label.append("only your code");
    const open = make(tools, "button", { type: "button" }, "Open all");
    const shown = make(tools, "output", {});
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let lines = 0, goroutines = 0;
      groups.forEach((group, index) => {
        group.hidden = !words.every((word) => texts[index].includes(word));
        if (!group.hidden) {
          lines++;
          goroutines += counts[index];
        }
      });
      shown.textContent = words.length === 0 ? "" : `${lines} groups, ${goroutines.toLocaleString("en-US")} goroutines`;
    });
    only.addEventListener("change", () => document.body.classList.toggle("only-user", only.checked));
    open.addEventListener("click", () => {
      const close = groups.every((group) => group.hidden || group.open);
      groups.forEach((group) => (group.open = !group.hidden && !close));
      open.textContent = close ? "Open all" : "Close all";
    });
  }

  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => (details.open = true)));
})();
