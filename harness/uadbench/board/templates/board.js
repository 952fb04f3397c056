"use strict";
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const state = new URLSearchParams(location.hash.slice(1));
  document.documentElement.classList.add("scripted");

  function remember(changes) {
    for (const [key, value] of Object.entries(changes)) {
      if (value) state.set(key, value); else state.delete(key);
    }
    history.replaceState(null, "", `#${state}`);
  }

  // On a narrow screen the table comes first; what explains it can be unfolded.
  if (matchMedia("(max-width: 600px)").matches) all(".fold").forEach((fold) => { fold.open = false; });

  // Tabs: one panel at a time; arrows, Home and End move between them.
  const tabs = all('[role="tab"]');
  const nameOf = (tab) => tab.id.replace("tab-", "");

  function open(name) {
    const chosen = tabs.find((tab) => nameOf(tab) === name) || tabs[0];
    for (const tab of tabs) {
      const selected = tab === chosen;
      tab.setAttribute("aria-selected", selected);
      tab.tabIndex = selected ? 0 : -1;
      document.getElementById(tab.getAttribute("aria-controls")).hidden = !selected;
    }
    const bar = chosen.parentElement;
    bar.scrollLeft = chosen.offsetLeft - (bar.clientWidth - chosen.offsetWidth) / 2;
    if (nameOf(chosen) === "curves") drawCurves();
  }

  function choose(tab) {
    open(nameOf(tab));
    remember({ tab: nameOf(tab), row: "" });
    tab.focus();
  }

  tabs.forEach((tab, place) => {
    tab.addEventListener("click", () => choose(tab));
    tab.addEventListener("keydown", (event) => {
      const goal = { ArrowRight: place + 1, ArrowLeft: place - 1, Home: 0, End: tabs.length - 1 }[event.key];
      if (goal === undefined) return;
      event.preventDefault();
      choose(tabs[(goal + tabs.length) % tabs.length]);
    });
  });

  // Sorting: incomplete rows stay last, then rows without a value. Published rows are sorted among themselves.
  const ranking = find("#ranking");

  function sort(key, direction) {
    const heads = all("thead th", ranking);
    const column = heads.findIndex((head) => head.dataset.key === key);
    if (column < 0) return;
    const sign = direction === "ascending" ? 1 : -1;
    const textual = key === "method";
    for (const body of ranking.tBodies) {
      const entries = all("tr:not(.divider)", body).map((row, place) => {
        const raw = row.cells[column].dataset.sort;
        return { row, place, last: "incomplete" in row.dataset ? 2 : raw === "" ? 1 : 0, value: textual ? raw : Number(raw) };
      });
      entries.sort((a, b) => {
        if (a.last !== b.last) return a.last - b.last;
        const order = textual ? a.value.localeCompare(b.value) : a.value - b.value;
        return sign * order || a.place - b.place;
      });
      body.append(...entries.map((entry) => entry.row));
    }
    heads.forEach((head, place) => head.setAttribute("aria-sort", place === column ? direction : "none"));
  }

  if (ranking) {
    for (const head of all("thead th", ranking)) {
      find("button", head).addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const other = { ascending: "descending", descending: "ascending" };
        const direction = other[now] || head.dataset.first;
        sort(head.dataset.key, direction);
        remember({ sort: `${head.dataset.key}:${direction}` });
      });
    }
  }

  // What stands under a value: intervals, and the spread over seeds, which is off at first to keep the table calm.
  const LINES = { intervals: "no-intervals", seeds: "no-spreads", papers: "no-papers" };

  for (const [name, hiding] of Object.entries(LINES)) {
    const box = document.getElementById(name);
    if (!box) continue;
    const show = () => ranking.classList.toggle(hiding, !box.checked);
    box.checked = name !== "seeds";
    box.addEventListener("change", show);
    show();
  }

  // Columns: the first metrics are shown; the address keeps another choice. The primary metric always stays.
  const chooser = find("#columns");
  const boxes = chooser ? all("input", chooser) : [];
  const firstMetrics = boxes.slice(0, chooser ? Number(chooser.dataset.first) : 0).map((box) => box.value);

  function showColumns(names) {
    if (!chooser) return;
    boxes.forEach((box, place) => { box.checked = place === 0 || names.includes(box.value); });
    const heads = all("thead th", ranking).map((head) => head.dataset.key);
    const places = boxes.map((box) => [heads.indexOf(box.value), !box.checked]);
    for (const row of ranking.rows) places.forEach(([place, away]) => { row.cells[place].hidden = away; });
    for (const row of all("tr.paper", ranking)) {
      row.hidden = places.every(([place, away]) => away || row.cells[place].dataset.sort === "");
    }
    find("#columns-shown").textContent = `${boxes.filter((box) => box.checked).length} of ${boxes.length} shown`;
  }

  function chooseColumns(names) {
    showColumns(names);
    const usual = names.length === firstMetrics.length && firstMetrics.every((name) => names.includes(name));
    remember({ columns: usual ? "" : names.join(".") });
  }

  const checked = () => boxes.filter((box) => box.checked).map((box) => box.value);
  boxes.forEach((box) => box.addEventListener("change", () => chooseColumns(checked())));
  const PRESETS = { first: () => firstMetrics, all: () => boxes.map((box) => box.value), none: () => firstMetrics.slice(0, 1) };
  for (const button of chooser ? all("button", chooser) : []) {
    button.addEventListener("click", () => chooseColumns(PRESETS[button.dataset.preset]()));
  }

  // Copying: where the browser gives no clipboard, the text is selected instead.
  for (const button of all(".copy")) {
    button.addEventListener("click", async () => {
      const source = document.getElementById(button.dataset.copies);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.classList.add("copied");
        setTimeout(() => button.classList.remove("copied"), 1500);
      } catch {
        getSelection().selectAllChildren(source);
      }
    });
  }

  // Pathologies: one metric's table at a time.
  const selector = find("#heat-metric");

  function showHeat(metric) {
    if (!selector || !all("option", selector).some((option) => option.value === metric)) return;
    selector.value = metric;
    for (const block of all(".heat-block")) block.hidden = block.dataset.metric !== metric;
  }

  if (selector) {
    selector.addEventListener("change", () => {
      showHeat(selector.value);
      remember({ metric: selector.value });
    });
  }

  // Curves: plotly runs only once somebody wants to see them.
  const COLOURS = ["#2b83ba", "#d55e00", "#009e73", "#c76aa0", "#b58900", "#8e6bbf", "#17a2b8", "#a0734a", "#d0453a", "#7f9f2f"];
  const DASHES = ["solid", "dot", "dash", "dashdot"];
  const FIRST_SHOWN = 8;
  const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  let curves = null;

  function loadCurves() {
    const script = document.createElement("script");
    script.textContent = find("#plotly-source").textContent;
    document.head.append(script);
    const data = JSON.parse(find("#curve-data").textContent);
    let methods = 0, canaries = 0;
    data.methods.forEach((method, place) => {
      const turn = method.canary ? canaries++ : methods++;
      method.colour = method.canary ? "#8a8f96" : COLOURS[turn % COLOURS.length];
      method.dash = method.canary ? DASHES[1 + (turn % 3)] : DASHES[Math.floor(turn / COLOURS.length) % DASHES.length];
      method.shown = place < FIRST_SHOWN;
    });
    drawLegend(data);
    return data;
  }

  function drawLegend(data) {
    const legend = find("#curve-legend");
    const button = (text, act) => {
      const made = document.createElement("button");
      made.type = "button";
      made.textContent = text;
      made.addEventListener("click", act);
      legend.append(made);
      return made;
    };
    const pressed = () => data.methods.forEach((method) => method.button.setAttribute("aria-pressed", method.shown));
    for (const method of data.methods) {
      method.button = button(method.label, () => { method.shown = !method.shown; pressed(); drawCurves(); });
      method.button.style.setProperty("--colour", method.colour);
      method.button.style.setProperty("--dash", { dot: "dotted", dash: "dashed", dashdot: "dashed" }[method.dash] || "solid");
    }
    button("all", () => { data.methods.forEach((method) => { method.shown = true; }); pressed(); drawCurves(); }).className = "all";
    button("none", () => { data.methods.forEach((method) => { method.shown = false; }); pressed(); drawCurves(); }).className = "all";
    pressed();
  }

  function traces(data, kind) {
    const held = data.methods.filter((method) => method.shown && method.curves[kind]);
    return held.map((method) => ({
      x: method.curves[kind].x, y: method.curves[kind].y, name: method.label.replaceAll("&", "&amp;").replaceAll("<", "&lt;"), mode: "lines", showlegend: false,
      line: { color: method.colour, dash: method.dash, width: 2, shape: kind === "image_pr" ? "vh" : "linear" },
      hovertemplate: "%{x:.3f}, %{y:.3f}<extra>%{fullData.name}</extra>",
    }));
  }

  function layout(kind) {
    const axis = (title) => ({
      title: { text: title, standoff: 8, font: { size: 13 } }, range: [-0.01, 1.01], gridcolor: token("--grid"), zeroline: false,
      linecolor: token("--strong-line"), tickformat: ".1f", dtick: 0.2,
    });
    const chance = { type: "line", x0: 0, y0: 0, x1: 1, y1: 1, line: { color: token("--strong-line"), width: 1, dash: "dot" } };
    return {
      xaxis: axis(kind.x), yaxis: axis(kind.y), margin: { l: 54, r: 12, t: 6, b: 46 }, hovermode: "closest",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: token("--sans"), size: 13, color: token("--soft") },
      hoverlabel: { namelength: -1 }, shapes: kind.key.endsWith("_roc") ? [chance] : [],
    };
  }

  function drawCurves() {
    if (!find("#curve-data")) return;
    curves = curves || loadCurves();
    for (const kind of curves.kinds) {
      const settings = { responsive: true, displaylogo: false, displayModeBar: false };
      Plotly.react(`plot-${kind.key}`, traces(curves, kind.key), layout(kind), settings);
    }
  }

  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (curves) drawCurves(); });

  // The address holds the view: #tab=...&sort=pixel_ap:ascending&columns=pixel_ap.image_ap&metric=...&row=...
  function restore() {
    for (const key of [...state.keys()]) state.delete(key);
    new URLSearchParams(location.hash.slice(1)).forEach((value, key) => state.set(key, value));
    if (ranking && state.has("sort")) {
      const [key, direction] = state.get("sort").split(":");
      sort(key, direction === "ascending" ? "ascending" : "descending");
    }
    showColumns(state.has("columns") ? state.get("columns").split(".") : firstMetrics);
    if (state.has("metric")) showHeat(state.get("metric"));
    open(state.get("tab"));
    const record = state.has("row") && document.getElementById(`row-${state.get("row")}`);
    if (record) {
      record.open = true;
      record.scrollIntoView({ block: "start" });
    }
  }

  addEventListener("hashchange", restore);
  restore();
})();
