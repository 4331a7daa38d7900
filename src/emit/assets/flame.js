// Search, zoom, tooltips and keys of flame graphs: every <svg class="flame"> of the document. Each frame is a
// <g class="f" data-s="first goroutine" data-n="goroutines" data-d="depth"> with a <title> (name, place, share), in
// depth-first order. Text from the graph is only ever set as text.
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const HTML = "http://www.w3.org/1999/xhtml";
  const PAD = 3;
  const number = (value) => value.toLocaleString("en-US");
  const share = (part, whole) => (whole === 0 ? "0" : ((100 * part) / whole).toFixed(part * 1000 < whole ? 2 : 1)) + "%";

  function element(space, parent, name, attributes) {
    const made = document.createElementNS(space, name);
    for (const key in attributes) made.setAttribute(key, attributes[key]);
    parent.appendChild(made);
    return made;
  }

  // "github.com/a/b/pkg.(*T).Run" is "pkg.(*T).Run" when there is no room for more.
  function shorten(name, room) {
    if (name.length <= room) return name;
    const stop = name.search(/[(\[]/);
    const slash = name.lastIndexOf("/", stop < 0 ? name.length : stop);
    const short = slash >= 0 && !name.startsWith("[") && !name.startsWith("(") ? name.slice(slash + 1) : name;
    if (short.length <= room) return short;
    return room < 3 ? "" : short.slice(0, room - 1) + "\u2026";
  }

  function read(group, index) {
    const title = group.querySelector("title");
    const lines = title.textContent.split("\n");
    title.remove();
    group.setAttribute("aria-label", lines.join(", "));
    group.setAttribute("role", "button");
    return {
      group, index, lines, name: lines[0], found: (lines[0] + "\n" + (lines.length > 2 ? lines[1] : "")),
      s: +group.dataset.s, n: +group.dataset.n, d: +group.dataset.d,
      rect: group.querySelector("rect"), text: group.querySelector("text"), x: 0, w: 0, shown: true,
    };
  }

  function start(svg) {
    const frames = [...svg.querySelectorAll("g.f")].map(read);
    if (frames.length === 0) return;
    const root = frames[0];
    const deepest = frames.reduce((most, frame) => Math.max(most, frame.d), 0);
    const alone = document.documentElement === svg;
    let zoomed = root, current = root, query = null, letter = 7.2, width = 1200;
    const contains = (outer, inner) =>
      outer.d <= inner.d && outer.s <= inner.s && inner.s + inner.n <= outer.s + outer.n;

    const bar = alone
      ? element(HTML, element(SVG, svg, "foreignObject", { y: 14, height: 40, class: "bar" }), "div", {})
      : document.createElement("div");
    bar.className = "flame-bar";
    if (!alone) svg.parentNode.parentNode.insertBefore(bar, svg.parentNode);
    const matched = element(HTML, bar, "output", {});
    const input = element(HTML, bar, "input", {
      type: "search", placeholder: "Search: text or regex  ( / )", "aria-label": "Search functions and files",
      spellcheck: "false",
    });
    const reset = element(HTML, bar, "button", { type: "button", disabled: "" });
    reset.textContent = "Reset zoom";
    if (!alone) bar.append(input, reset, matched);

    const tip = element(SVG, svg, "g", { class: "tip", visibility: "hidden" });
    const tipRect = element(SVG, tip, "rect", { rx: 6 });

    function place(frame) {
      const from = zoomed.s, scale = (width - 2 * margin()) / zoomed.n;
      const above = frame.d < zoomed.d && contains(frame, zoomed);
      frame.x = margin() + (above ? 0 : (frame.s - from) * scale);
      frame.w = above ? zoomed.n * scale : frame.n * scale;
      frame.shown = (above || contains(zoomed, frame)) && frame.w >= 0.35;
      frame.group.style.display = frame.shown ? "" : "none";
      if (!frame.shown) return;
      frame.group.classList.toggle("up", above);
      frame.rect.setAttribute("x", frame.x.toFixed(2));
      frame.rect.setAttribute("width", frame.w.toFixed(2));
      const label = shorten(frame.name, Math.floor((frame.w - 2 * PAD) / letter));
      if (frame.text === null && label !== "") {
        frame.text = element(SVG, frame.group, "text", { y: +frame.rect.getAttribute("y") + 14 });
      }
      if (frame.text === null) return;
      frame.text.textContent = label;
      frame.text.setAttribute("x", (frame.x + PAD).toFixed(2));
    }

    function margin() {
      return alone ? 16 : 0;
    }

    // The picture is as high as what is seen of it.
    function fit() {
      const lowest = frames.reduce((most, frame) => (frame.shown && frame.d > most ? frame.d : most), 0);
      const spare = (deepest - lowest) * 20, high = +svg.dataset.height - spare;
      const foot = svg.querySelector(".foot");
      if (foot) foot.setAttribute("transform", `translate(0 ${-spare})`);
      svg.setAttribute("height", alone ? Math.max(high, window.innerHeight - 4) : high);
    }

    function layout() {
      if (alone) {
        width = Math.max(480, window.innerWidth);
        svg.removeAttribute("viewBox");
        svg.setAttribute("width", "100%");
        const room = Math.min(width - 32, 560);
        bar.parentNode.setAttribute("x", width - room - 16);
        bar.parentNode.setAttribute("width", room);
      } else {
        width = Math.max(320, svg.parentNode.clientWidth);
        svg.removeAttribute("viewBox");
        svg.setAttribute("width", width);
      }
      frames.forEach(place);
      fit();
    }

    function zoom(frame) {
      zoomed = frame;
      current = frame;
      reset.disabled = frame === root;
      hide();
      frames.forEach(place);
      fit();
    }

    // Counts each goroutine once, however many of its frames match: frames come in depth-first order.
    function search(text) {
      query = null;
      input.classList.remove("bad");
      if (text !== "") {
        try {
          query = new RegExp(text, "i");
        } catch {
          input.classList.add("bad");
          query = new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "i");
        }
      }
      let goroutines = 0, end = -1;
      for (const frame of frames) {
        frame.match = query !== null && frame !== root && query.test(frame.found);
        frame.group.classList.toggle("m", frame.match);
        if (frame.match && frame.s >= end) {
          goroutines += frame.n;
          end = frame.s + frame.n;
        }
      }
      svg.classList.toggle("searching", query !== null);
      matched.textContent = query === null ? "" : `${number(goroutines)} of ${number(root.n)} (${share(goroutines, root.n)})`;
    }

    function focus(frame) {
      if (!frame) return;
      current.group.setAttribute("tabindex", "-1");
      current = frame;
      frame.group.setAttribute("tabindex", "0");
      frame.group.focus({ preventScroll: false });
      show(frame, frame.x + Math.min(frame.w, 40), +frame.rect.getAttribute("y") + 10);
    }

    const visible = () => frames.filter((frame) => frame.shown);
    const parent = (frame) => visible().findLast((other) => other.d === frame.d - 1 && contains(other, frame));
    const child = (frame) => visible().find((other) => other.d === frame.d + 1 && contains(frame, other));
    const beside = (frame, step) => {
      const row = visible().filter((other) => other.d === frame.d);
      return row[row.indexOf(frame) + step];
    };

    function nextMatch(step) {
      const matches = visible().filter((frame) => frame.match);
      const at = matches.indexOf(current);
      if (matches.length > 0) focus(matches[(at + step + matches.length) % matches.length]);
    }

    function wrap(text, size) {
      const parts = [];
      for (let at = 0; at < text.length && parts.length < 6; at += size) parts.push(text.slice(at, at + size));
      return parts;
    }

    function show(frame, x, y) {
      tip.querySelectorAll("text").forEach((line) => line.remove());
      const room = Math.max(20, Math.floor((width - 40) / letter));
      const lines = [];
      frame.lines.forEach((line, index) => {
        for (const part of wrap(line, Math.min(room, 110))) lines.push([index === 0 ? "t1" : "t2", part]);
      });
      if (zoomed !== root && contains(zoomed, frame)) lines.push(["t2", `${share(frame.n, zoomed.n)} of what is zoomed`]);
      let widest = 0;
      lines.forEach(([kind, line], index) => {
        const text = element(SVG, tip, "text", { class: kind, x: 10, y: 19 + 17 * index });
        text.textContent = line;
        widest = Math.max(widest, text.getComputedTextLength());
      });
      const height = lines.length * 17 + 13, whole = svg.getBoundingClientRect().height;
      tipRect.setAttribute("width", (widest + 20).toFixed(1));
      tipRect.setAttribute("height", height);
      const left = Math.max(2, Math.min(x + 14, width - widest - 24));
      const top = y + 18 + height > whole ? Math.max(2, y - height - 10) : y + 18;
      tip.setAttribute("transform", `translate(${left.toFixed(1)} ${top.toFixed(1)})`);
      tip.setAttribute("visibility", "visible");
    }

    function hide() {
      tip.setAttribute("visibility", "hidden");
    }

    const owner = new Map(frames.map((frame) => [frame.group, frame]));
    const at = (event) => owner.get(event.target.closest && event.target.closest("g.f"));
    svg.addEventListener("pointermove", (event) => {
      const frame = at(event);
      if (!frame) return hide();
      const box = svg.getBoundingClientRect();
      show(frame, event.clientX - box.left, event.clientY - box.top);
    });
    svg.addEventListener("pointerleave", hide);
    svg.addEventListener("click", (event) => {
      const frame = at(event);
      if (frame) zoom(frame === zoomed ? root : frame);
    });
    reset.addEventListener("click", () => zoom(root));
    input.addEventListener("input", () => search(input.value));
    input.addEventListener("keydown", (event) => {
      if (event.key === "Escape") {
        input.value = "";
        search("");
        input.blur();
      } else if (event.key === "Enter") {
        nextMatch(event.shiftKey ? -1 : 1);
      } else {
        return;
      }
      event.preventDefault();
      event.stopPropagation();
    });
    svg.addEventListener("keydown", (event) => {
      const frame = at(event);
      if (!frame) return;
      const keys = {
        ArrowUp: () => focus(parent(frame)), ArrowDown: () => focus(child(frame)),
        ArrowLeft: () => focus(beside(frame, -1)), ArrowRight: () => focus(beside(frame, 1)),
        Enter: () => zoom(frame === zoomed ? root : frame), " ": () => zoom(frame === zoomed ? root : frame),
        n: () => nextMatch(1), N: () => nextMatch(-1), Home: () => focus(root),
      };
      if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
      keys[event.key]();
      event.preventDefault();
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest && event.target.closest("input, textarea");
      const find = (event.ctrlKey || event.metaKey) && event.key === "f";
      if ((alone && find) || (event.key === "/" && !typing && !event.ctrlKey)) {
        if (find && document.activeElement === input) return;
        input.focus();
        input.select();
        event.preventDefault();
      } else if (event.key === "Escape" && !typing) {
        hide();
        zoom(root);
      }
    });
    root.group.setAttribute("tabindex", "0");
    const sample = element(SVG, svg, "text", { visibility: "hidden" });
    sample.textContent = "m".repeat(50);
    letter = sample.getComputedTextLength() / 50 || letter;
    sample.remove();
    window.addEventListener("resize", layout);
    window.addEventListener("beforeprint", layout);
    layout();
  }

  document.querySelectorAll("svg.flame").forEach(start);
})();
