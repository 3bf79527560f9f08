"use strict";
// The page is whole without this file. It adds: filters, the panel behind a number, the table of all numbers,
// the theme. Text from the data is only ever put in as text, never as markup.
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties = {}, ...children) => {
    const { dataset, style, ...plain } = properties;
    const element = Object.assign(document.createElement(tag), plain);
    Object.assign(element.dataset, dataset);
    for (const [name, value] of Object.entries(style || {})) element.style.setProperty(name, value);
    element.append(...children.filter((child) => child !== null && child !== undefined));
    return element;
  };
  for (const element of all(".js, #the-filters, #the-theme")) element.hidden = false;

  // ---- what stands in the address: #at=SECTION&number=ROW&hide.FACET=NAME&...
  const state = () => new URLSearchParams(location.hash.includes("=") ? location.hash.slice(1) : "");
  const keep = (change) => {
    const parameters = state();
    change(parameters);
    const text = parameters.toString();
    history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  };

  const links = new Map(all(".contents a").map((link) => [link.hash.slice(1), link]));

  // ---- theme
  const theme = find("#the-theme");
  const darkened = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (document.documentElement.dataset.theme || (darkened.matches ? "dark" : "light")) === "dark";
  const remembered = (value) => {  // storage may be refused for file://
    try {
      if (value) localStorage.setItem("assay-theme", value);
      return localStorage.getItem("assay-theme");
    } catch { return null; }
  };
  const nameTheme = () => { theme.textContent = isDark() ? "Light" : "Dark"; theme.setAttribute("aria-label", `${theme.textContent} theme`); };
  if (["light", "dark"].includes(remembered())) document.documentElement.dataset.theme = remembered();
  theme.addEventListener("click", () => {
    document.documentElement.dataset.theme = isDark() ? "light" : "dark";
    remembered(document.documentElement.dataset.theme);
    nameTheme();
  });
  darkened.addEventListener("change", nameTheme);
  nameTheme();

  // ---- the long table, read when it is first needed
  let read;
  const data = () => {
    if (!read) {
      read = JSON.parse(find("#the-cells").textContent);
      read.length = read.columns.kind.length;
    }
    return read;
  };
  const nameOf = (column, row) => data().names[data().columns[column][row]];
  const rowOf = (row) => ({
    kind: nameOf("kind", row), detector: nameOf("detector", row), trained_on: nameOf("trained_on", row),
    tested_on: nameOf("tested_on", row), condition: nameOf("condition", row),
  });
  const stored = (metric, which, row) => {
    const column = data().values[metric.name][which];
    return column === undefined || column[row] === null ? null : column[row] / data().scale;
  };
  const digits = (metric, value, places = 4) => metric.percent ? (value * 100).toFixed(places - 2) : value.toFixed(places);
  const count = (number) => number.toLocaleString("en");

  // ---- filters
  const boxes = all("#the-filters input[type=checkbox]");
  let off = new Set();
  const hiddenBy = (tokens) => tokens !== undefined && tokens !== "" && tokens.split(" ").some((token) => off.has(token));
  const told = (lines, columns) => {
    const parts = [];
    if (lines) parts.push(`${lines} line${lines === 1 ? "" : "s"}`);
    if (columns) parts.push(`${columns} column${columns === 1 ? "" : "s"}`);
    return parts.length ? `Filters hide ${parts.join(" and ")} here.` : "";
  };
  const filterTable = (holder) => {
    const heads = all("thead th", holder);
    const columns = heads.map((head) => hiddenBy(head.dataset.f));
    const touched = holder.dataset.touched === "1";
    const anyColumn = columns.includes(true);
    let lines = 0, left = 0;
    for (const body of all("tbody", holder)) {
      let here = 0;
      for (const row of body.rows) {
        if (row.classList.contains("group")) continue;
        row.hidden = hiddenBy(row.dataset.f);
        if (row.hidden) lines += 1; else if (!row.classList.contains("mean")) here += 1;
        if (anyColumn || touched) columns.forEach((gone, index) => { if (row.cells[index]) row.cells[index].hidden = gone; });
      }
      body.hidden = here === 0 && [...body.rows].some((row) => row.hidden);
      left += here;
    }
    if (anyColumn || touched) columns.forEach((gone, index) => { heads[index].hidden = gone; });
    holder.dataset.touched = anyColumn ? "1" : "";
    const ownColumns = heads.filter((head) => head.dataset.f);
    const empty = (left === 0 && lines > 0) || (ownColumns.length > 0 && ownColumns.every((head) => head.hidden));
    find(".scroll", holder).hidden = empty;
    const held = find(".held", holder);
    held.textContent = empty ? "Filters hide this table." : told(lines, columns.filter(Boolean).length);
    held.hidden = held.textContent === "";
    return empty;
  };
  const filterAll = () => {
    off = new Set(boxes.filter((box) => !box.checked).map((box) => box.value));
    all(".table").forEach(filterTable);
    for (const section of all("section.chapter")) {
      const tables = all(".table", section);
      const gone = tables.length > 0 && tables.every((one) => find(".scroll", one).hidden);
      section.classList.toggle("gone", gone);
      links.get(section.id)?.classList.toggle("dim", gone);
    }
    filterCards();
    for (const line of all(".card ol li")) line.hidden = hiddenBy(line.dataset.f);
    const number = boxes.filter((box) => !box.checked).length;
    if (find("#num-filtered")) find("#num-filtered").textContent = number ? `${number} hidden` : "";
    if (explore.ready) explore.show();
  };
  const fromAddress = () => {
    const parameters = state();
    for (const box of boxes) {
      const facet = box.closest("fieldset").dataset.facet;
      box.checked = !parameters.getAll(`hide.${facet}`).includes(box.dataset.name);
    }
  };
  const filtersChanged = () => {
    keep((parameters) => {
      for (const key of new Set(parameters.keys())) if (key.startsWith("hide.")) parameters.delete(key);
      for (const box of boxes) if (!box.checked) parameters.append(`hide.${box.closest("fieldset").dataset.facet}`, box.dataset.name);
    });
    filterAll();
  };
  for (const box of boxes) box.addEventListener("change", filtersChanged);
  for (const button of all("[data-all]")) button.addEventListener("click", () => {
    for (const box of all("input", button.closest("fieldset"))) box.checked = button.dataset.all === "1";
    filtersChanged();
  });
  find("#show-everything")?.addEventListener("click", () => { for (const box of boxes) box.checked = true; filtersChanged(); });
  document.addEventListener("click", (event) => {
    const drop = find("#the-filters");
    if (drop?.open && !drop.contains(event.target)) drop.open = false;
  });

  // ---- pictures
  const pickItem = find("#pick-item"), pickText = find("#pick-text");
  function filterCards() {
    const cards = all(".card");
    if (!cards.length) return;
    const words = pickText.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const card of cards) {
      const text = `${card.textContent} ${find("img", card).alt}`.toLowerCase();
      card.hidden = hiddenBy(card.dataset.f) || (pickItem.value !== "" && card.dataset.item !== pickItem.value) || !words.every((word) => text.includes(word));
    }
    const left = cards.filter((card) => !card.hidden).length;
    find("#pick-count").textContent = `${left} of ${cards.length} images`;
  }
  if (pickItem) { pickItem.addEventListener("change", filterCards); pickText.addEventListener("input", filterCards); }

  // ---- the panel behind a number
  const panel = find("#the-panel");
  let opener = null;
  const strip = (value, low, high, guessing) => make("span", { className: "strip", style: { "--v": value, "--l": low ?? value, "--h": high ?? value, "--g": guessing ?? -1 } });
  const command = (text) => {
    const copy = make("button", { type: "button", className: "copy" }, "Copy");
    copy.addEventListener("click", async () => {
      try { await navigator.clipboard.writeText(text); copy.textContent = "Copied"; }
      catch { getSelection().selectAllChildren(copy.previousElementSibling); copy.textContent = "Selected"; }
    });
    return make("div", { className: "command" }, make("code", {}, text), copy);
  };
  const fact = (list, name, value) => { if (value !== null && value !== "") list.append(make("dt", {}, name), make("dd", {}, String(value))); };
  const metricRows = (row, shown) => data().metrics.map((metric) => {
    const value = stored(metric, "value", row);
    const low = stored(metric, "low", row), high = stored(metric, "high", row), sd = stored(metric, "sd", row);
    const refused = metric.name.startsWith("tpr_") && stored(data().metrics[0], "value", row) !== null;
    const text = value === null ? (refused ? data().refused : "no data") : digits(metric, value) + (sd === null ? "" : ` ± ${digits(metric, sd)}`);
    const unit = metric.percent && value !== null ? " %" : "";
    const line = make("tr", { className: shown === metric.name ? "chosen" : "", title: metric.definition },
      make("th", { scope: "row" }, metric.title),
      make("td", {}, text + unit, low === null ? null : make("small", { className: "b" }, `(${digits(metric, low)} to ${digits(metric, high)})`)));
    line.append(make("td", { ariaHidden: "true" }, value === null || metric.name === "cllr" ? "" : strip(value, low, high, metric.guessing)));
    return line;
  });
  const stagesOf = (one) => data().stages.filter(([detector, trained, tested]) => {
    if (trained !== one.trained_on || (detector !== "" && detector !== one.detector)) return false;
    const of = one.kind === "cell" ? [one.tested_on] : data().groups[one.tested_on];
    return of === undefined || tested === data().real || of.includes(tested);  // undefined: images of all generators
  });
  const openPanel = (row, button) => {
    const one = rowOf(row), columns = data().columns, body = find("#panel-body"), mean = columns.n_real[row] === null;
    find("#panel-title").textContent = `${one.detector}, ${one.trained_on ? `trained on ${one.trained_on}` : "mean over trainings"}`;
    body.replaceChildren();
    const facts = make("dl", { className: "facts" });
    fact(facts, "Tested on", one.tested_on || "mean over test sets");
    fact(facts, "Condition", one.condition ? (data().conditions[one.condition] ? `${one.condition}: ${data().conditions[one.condition]}` : one.condition) : "mean over the degradations");
    fact(facts, "What it is", `${one.kind}: ${data().kinds[one.kind] ?? ""}`);
    fact(facts, "Trained on it?", columns.seen[row] === null ? null : columns.seen[row] ? "yes" : "no");
    if (mean) fact(facts, "Mean of", `${count(columns.num_cells[row])} cells with data`);
    else {
      fact(facts, "Images", `${count(columns.n_real[row])} real, ${count(columns.n_generated[row])} generated`);
      fact(facts, "Unreadable", count(columns.n_unreadable[row]));
      fact(facts, "Groups", `${count(columns.groups[row])} (what intervals are drawn over)`);
    }
    fact(facts, "Training seeds", columns.num_seeds[row]);
    body.append(facts, make("h3", {}, "All metrics"));
    const table = make("table", {}, make("caption", { className: "vh" }, "All metrics of this cell"),
      make("thead", {}, make("tr", {}, make("th", { scope: "col", className: "head" }, "metric"), make("th", { scope: "col" }, `value (${data().level * 100} % interval)`), make("td", {}, ""))),
      make("tbody", {}, ...metricRows(row)));
    body.append(table);
    const about = make("details", {}, make("summary", {}, "What each metric is"));
    const list = make("dl");
    for (const metric of data().metrics) list.append(make("dt", {}, metric.title), make("dd", {}, metric.definition));
    about.append(list);
    body.append(about, make("h3", {}, "Where it comes from"));
    const stages = mean ? [] : stagesOf(one);
    for (const [, , , stage, lineage] of stages) {
      body.append(make("p", {}, "Scored by ", make("code", {}, stage)), command(`assay lineage ${lineage.slice(0, 16)}`));
    }
    if (mean) {
      const show = make("button", { type: "button", className: "copy" }, "Show the cells of these names");
      show.addEventListener("click", () => {
        closePanel();
        explore.start();
        find("#explore-kind").value = "cell";
        find("#explore-text").value = [one.detector, one.trained_on, one.tested_on, one.condition].filter(Boolean).join(" ");
        explore.show();
        goTo("all-numbers");
      });
      body.append(make("p", {}, show));
    }
    body.append(make("p", {}, "The benchmark, whose lineage this page carries:"), command(`assay lineage ${data().lineage.slice(0, 16)}`));
    opener?.setAttribute("aria-expanded", "false");
    opener = button;
    opener?.setAttribute("aria-expanded", "true");
    if (!panel.open) panel.show();
    panel.scrollTop = 0;
    find("#panel-title").focus({ preventScroll: true });
    keep((parameters) => parameters.set("number", Object.values(one).join("|")));
  };
  const closePanel = () => {
    panel.close();
    opener?.setAttribute("aria-expanded", "false");
    opener?.focus();
    opener = null;
    keep((parameters) => parameters.delete("number"));
  };
  find("#panel-close").addEventListener("click", closePanel);
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    const drop = find("#the-filters");
    if (drop?.open) { drop.open = false; find("summary", drop).focus(); } else if (panel.open) closePanel();
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-c]");
    if (button && button.dataset.c !== "None") openPanel(Number(button.dataset.c), button);
  });

  // ---- arrow keys between the numbers of a table, so that Tab passes it in one step
  const steps = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  document.addEventListener("keydown", (event) => {
    const from = event.target.closest?.("button[data-c]");
    if (!from || !(event.key in steps)) return;
    const rows = all("tbody tr", from.closest("table")).filter((row) => row.offsetParent !== null);
    const [down, right] = steps[event.key];
    let y = rows.indexOf(from.closest("tr")), x = from.closest("td").cellIndex;
    for (;;) {
      y += down; x += right;
      const cell = rows[y]?.cells[x];
      if (x < 0 || y < 0 || y >= rows.length || x >= rows[y].cells.length && right) return;
      const to = cell && !cell.hidden && find("button[data-c]", cell);
      if (to) { from.tabIndex = -1; to.tabIndex = 0; to.focus(); event.preventDefault(); return; }
    }
  });

  // ---- all numbers
  const explore = {
    ready: false, sort: ["auroc", -1], limit: 100,
    names: ["detector", "trained_on", "tested_on", "condition", "kind"],
    start() {
      if (this.ready) return;
      this.ready = true;
      const kinds = find("#explore-kind");
      kinds.append(make("option", { value: "" }, "of every kind"), ...Object.keys(data().kinds).map((kind) => make("option", {}, kind)));
      kinds.value = "cell" in data().kinds ? "cell" : "";
      find("#explore-about").textContent = `Shares in [0, 1] as printed elsewhere; metrics that are accuracies in %. Intervals of ${data().level * 100} % stand in the panel behind a number and in the files. An empty name: a mean over all of them.`;
      const head = make("tr");
      for (const [name, title] of [...this.names.map((name) => [name, name.replace("_", " ")]), ...data().metrics.map((metric) => [metric.name, metric.title])]) {
        const button = make("button", { type: "button" }, title);
        button.addEventListener("click", () => {
          this.sort = [name, this.sort[0] === name ? -this.sort[1] : this.names.includes(name) ? 1 : -1];
          this.show();
        });
        head.append(make("th", { scope: "col", dataset: { name }, className: this.names.includes(name) ? "head" : "" }, button));
      }
      find("#explore-table thead").append(head);
      kinds.addEventListener("change", () => this.show());
      find("#explore-text").addEventListener("input", () => this.show());
      find("#explore-more").addEventListener("click", () => { this.limit += 200; this.show(); });
      find("#explore-save").addEventListener("click", () => this.save());
      this.show();
    },
    chosen() {
      const kind = find("#explore-kind").value;
      const words = find("#explore-text").value.toLowerCase().split(/\s+/).filter(Boolean);
      const rows = [];
      for (let row = 0; row < data().length; row += 1) {
        if (kind && nameOf("kind", row) !== kind) continue;
        if (hiddenBy(data().tokens[data().columns.about[row]])) continue;
        const names = this.names.slice(0, 4).map((name) => nameOf(name, row).toLowerCase());
        if (!words.every((word) => names.includes(word)) && !words.every((word) => names.some((name) => name.includes(word)))) continue;
        rows.push(row);
      }
      const [by, way] = this.sort;
      const key = this.names.includes(by) ? (row) => nameOf(by, row) : (row) => data().values[by].value?.[row] ?? null;
      const keys = new Map(rows.map((row) => [row, key(row)]));
      return rows.sort((one, other) => {
        const a = keys.get(one), b = keys.get(other);
        if (a === null || b === null) return (a === null) - (b === null) || one - other;
        return (a < b ? -way : a > b ? way : one - other);
      });
    },
    show() {
      const rows = this.chosen();
      const lines = rows.slice(0, this.limit).map((row, index) => {
        const line = make("tr");
        this.names.forEach((name, column) => line.append(make(column ? "td" : "th", column ? { className: "words" } : { scope: "row" }, nameOf(name, row))));
        data().metrics.forEach((metric, column) => {
          const value = stored(metric, "value", row);
          line.append(value === null ? make("td", { className: "none" }, "no data")
            : make("td", {}, make("button", { dataset: { c: row }, tabIndex: index || column ? -1 : 0 }, digits(metric, value))));
        });
        return line;
      });
      find("#explore-table tbody").replaceChildren(...lines);
      for (const head of all("#explore-table thead th")) {
        head.ariaSort = head.dataset.name === this.sort[0] ? (this.sort[1] > 0 ? "ascending" : "descending") : "none";
      }
      find("#explore-count").textContent = `${count(rows.length)} of ${count(data().length)} rows${rows.length > this.limit ? `, ${this.limit} shown` : ""}`;
      find("#explore-more").hidden = rows.length <= this.limit;
    },
    save() {
      const quoted = (text) => /[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : /^[=+@\t-]/.test(text) ? `"'${text}"` : text;
      const head = [...this.names, ...data().metrics.flatMap((metric) => [metric.name, `${metric.name}_low`, `${metric.name}_high`])];
      const lines = this.chosen().map((row) => [
        ...this.names.map((name) => quoted(nameOf(name, row))),
        ...data().metrics.flatMap((metric) => ["value", "low", "high"].map((which) => stored(metric, which, row) ?? "")),
      ].join(","));
      const link = make("a", { href: URL.createObjectURL(new Blob([[head.join(","), ...lines, ""].join("\n")], { type: "text/csv" })), download: "assay-cells.csv" });
      link.click();
      URL.revokeObjectURL(link.href);
    },
  };
  new IntersectionObserver((entries, observer) => {
    if (entries.some((entry) => entry.isIntersecting)) { observer.disconnect(); explore.start(); }
  }, { rootMargin: "600px" }).observe(find("#all-numbers"));

  // ---- contents: the section that is read, and links that keep the rest of the address
  const goTo = (id) => {
    const target = document.getElementById(id);
    if (!target) return;
    keep((parameters) => parameters.set("at", id));
    if (target instanceof HTMLDetailsElement) target.open = true;
    target.scrollIntoView();
    target.tabIndex = -1;
    target.focus({ preventScroll: true });
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    event.preventDefault();
    goTo(link.hash.slice(1));
  });
  const reading = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const [id, link] of links) { if (id === entry.target.id) link.setAttribute("aria-current", "true"); else link.removeAttribute("aria-current"); }
    }
  }, { rootMargin: "-15% 0px -75% 0px" });
  for (const section of all("main > section")) reading.observe(section);
  if (matchMedia("(max-width: 64rem)").matches) find("#the-contents").open = false;

  // ---- what the address asks for
  const parameters = state();
  fromAddress();
  filterAll();
  if (parameters.has("at")) goTo(parameters.get("at"));
  if (parameters.has("number")) {
    const wanted = parameters.get("number");
    for (let row = 0; row < data().length; row += 1) {
      if (Object.values(rowOf(row)).join("|") !== wanted) continue;
      openPanel(row, find(`button[data-c="${row}"]`));
      break;
    }
  }
  addEventListener("hashchange", () => { fromAddress(); filterAll(); });
})();
