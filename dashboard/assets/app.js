/* Addresses, theme, navigation and keys. Dash calls the functions in window.dash_clientside.facevalue. */
(function () {
  "use strict";

  const root = document.documentElement;

  /* ---- addresses -------------------------------------------------------------------------------------------- */

  function go(address, options) {
    const target = new URL(address, location.href);
    if (target.href === location.href) return;
    const moved = target.pathname !== location.pathname;
    history[options && options.replace ? "replaceState" : "pushState"]({}, "", target.href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    if (moved) {
      window.scrollTo(0, 0);
      const main = document.getElementById("main");
      if (main) main.focus({ preventScroll: true });
    }
  }

  function setParameters(changes, path) {
    const target = new URL(path || location.pathname, location.origin);
    const values = path ? keepRun() : new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(changes)) {
      if (value === null || value === undefined || value === "") values.delete(name);
      else values.set(name, value);
    }
    target.search = values.toString();
    go(target.href);
  }

  function keepRun() {
    const run = new URLSearchParams(location.search).get("run");
    return new URLSearchParams(run ? { run } : {});
  }

  function asText(value) {
    if (value === null || value === undefined) return "";
    if (Array.isArray(value) && value.length === 2 && value.every((end) => typeof end === "number"))
      return value.map((end) => end / 100).join("..");
    return String(value);
  }

  const RESETS = { attribute: ["group", "reference"], region: ["share"] };

  /* Links inside the site change the address without loading the page anew. */
  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[href]");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const target = new URL(link.href, location.href);
    const own = target.origin === location.origin && !link.target && !link.hasAttribute("download");
    if (!own || link.classList.contains("plain")) return;
    event.preventDefault();
    if (target.hash && target.pathname === location.pathname && target.search === location.search) {
      const place = document.querySelector(target.hash);
      if (place) { place.scrollIntoView(); place.focus({ preventScroll: true }); }
      return;
    }
    go(target.href);
    if (link.rel === "prev" || link.rel === "next" || link.closest(".pages")) window.scrollTo(0, 0);
  });

  /* ---- what Dash calls -------------------------------------------------------------------------------------- */

  window.dashMantineFunctions = Object.assign(window.dashMantineFunctions || {}, { percent: (value) => `${value}%` });

  window.dash_clientside = window.dash_clientside || {};
  const context = () => window.dash_clientside.callback_context;

  window.dash_clientside.facevalue = {
    theme() {
      return root.getAttribute("data-mantine-color-scheme") === "dark" ? "dark" : "light";
    },

    control() {
      const changes = {};
      for (const { prop_id: id, value } of context().triggered) {
        if (!id || !id.startsWith("{")) continue;
        const { control, default: usual } = JSON.parse(id.slice(0, id.lastIndexOf(".")));
        const text = asText(value);
        const present = new URLSearchParams(location.search).get(control) || usual;
        if (text === present) continue;
        changes[control] = text === usual ? null : text;
        changes.page = null;
        for (const other of RESETS[control] || []) changes[other] = null;
      }
      if (Object.keys(changes).length) setParameters(changes);
    },

    clicked() {
      for (const { prop_id: id, value } of context().triggered) {
        if (!id || !value || !value.points || !value.points.length) continue;
        const key = id.slice(0, id.lastIndexOf("."));
        const { to } = JSON.parse(key);
        const names = Object.assign({}, namesOf(key, value.points[0]));
        delete names.reference;
        if (to && Object.keys(names).length) {
          const same = to === location.pathname;
          setParameters(Object.assign(same ? { page: null } : {}, names), same ? null : to);
        }
      }
    },

    opacity(value) {
      if (typeof value === "number") setOpacity(value);
    },

    help(clicks, opened) {
      return clicks ? true : opened;
    },
  };

  /* Dash hands on no customdata of heat maps: there it is looked up by the cell's own names. */
  function namesOf(key, point) {
    const plot = document.getElementById(key);
    const data = plot && (plot.querySelector(".js-plotly-plot") || plot).data;
    const trace = data && data[point.curveNumber];
    if (!trace || trace.type !== "heatmap") return point.customdata;
    return trace.customdata[trace.y.indexOf(point.y)][trace.x.indexOf(point.x)];
  }

  /* ---- how maps are drawn: the browser alone ------------------------------------------------------------------ */

  const SCALES = ["inferno", "viridis", "cividis", "white"];

  function remember(name, value) {
    try { localStorage.setItem(name, value); } catch (error) { /* private windows may refuse */ }
  }

  function setOpacity(percent) {
    root.style.setProperty("--map-opacity", percent / 100);
    remember("facevalue-opacity", percent / 100);
  }

  function setScale(name) {
    root.setAttribute("data-scale", name);
    remember("facevalue-scale", name);
    markScale();
  }

  function markScale() {
    const present = root.getAttribute("data-scale") || SCALES[0];
    for (const button of document.querySelectorAll("[data-scale].scale-button"))
      button.setAttribute("aria-pressed", String(button.dataset.scale === present));
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("[data-scale].scale-button");
    if (button) setScale(button.dataset.scale);
  });

  function changeOpacity(by) {
    const thumb = document.querySelector("#map-opacity [role=slider]");
    const now = thumb ? Number(thumb.getAttribute("aria-valuenow")) : 100 * (getComputedStyle(root).getPropertyValue("--map-opacity") || 0.75);
    const next = Math.min(100, Math.max(0, now + by));
    if (thumb) window.dash_clientside.set_props("map-opacity", { value: next });
    setOpacity(next);
  }

  /* ---- keys --------------------------------------------------------------------------------------------------- */

  const PLACES = { o: "/", c: "/confusions", f: "/fairness", s: "/saliency", a: "/atlas", r: "/review", p: "/report", t: "/try", l: "/leaderboard" };
  let going = -Infinity;

  function typing(target) {
    return target.closest("input, textarea, select, [contenteditable], [role=slider], [role=listbox], [role=combobox]");
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const target = event.target;
    if (event.key === "Escape" && typing(target)) { target.blur(); return; }
    if (typing(target)) return;
    if (arrow(event, target)) return;
    if (event.timeStamp - going < 2500 && PLACES[event.key]) {
      going = -Infinity;
      event.preventDefault();
      event.stopImmediatePropagation();
      setParameters({}, PLACES[event.key]);
      return;
    }
    const acts = {
      g: () => { going = event.timeStamp; },
      "?": () => window.dash_clientside.set_props("help", { opened: true }),
      "/": () => focusFirst("input.mantine-TextInput-input, .control input, .control button"),
      t: () => focusFirst("#theme-toggle") && document.getElementById("theme-toggle").click(),
      "[": () => changeOpacity(-10),
      "]": () => changeOpacity(10),
      m: () => root.toggleAttribute("data-maps-off"),
      c: () => setScale(SCALES[(SCALES.indexOf(root.getAttribute("data-scale") || SCALES[0]) + 1) % SCALES.length]),
      n: () => follow("next"),
      p: () => follow("prev"),
    };
    if (!acts[event.key] || (document.querySelector("[data-review]") && "tncp".includes(event.key))) return;
    event.preventDefault();
    acts[event.key]();
  });

  function focusFirst(selector) {
    const found = document.querySelector(`main ${selector}, ${selector}`);
    if (found) found.focus();
    return Boolean(found);
  }

  function follow(rel) {
    const link = document.querySelector(`main a[rel=${rel}]`);
    if (link) link.click();
  }

  /* Arrows move between the pictures of a grid; rows follow the layout. */
  function arrow(event, target) {
    const card = target.closest("a.card");
    const steps = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };
    if (!card || !steps[event.key]) return false;
    const cards = [...card.parentElement.querySelectorAll("a.card")];
    const top = cards[0].offsetTop;
    const columns = cards.filter((other) => other.offsetTop === top).length;
    const [across, down] = steps[event.key];
    const next = cards[cards.indexOf(card) + across + down * columns];
    if (next) { next.focus(); event.preventDefault(); }
    return true;
  }

  /* ---- titles and notices --------------------------------------------------------------------------------------- */

  new MutationObserver(() => {
    const heading = document.querySelector("main h1");
    const title = heading ? `${heading.textContent} · Face Value` : "Face Value";
    if (document.title !== title) document.title = title;
    markScale();
  }).observe(document.body, { childList: true, subtree: true });

  const ask = window.fetch;
  window.fetch = async function (...request) {
    try {
      const answer = await ask.apply(this, request);
      notice(answer.status >= 500 ? "The server could not answer; its log says why. Reload the page to go on." : "");
      return answer;
    } catch (error) {
      if (error.name !== "AbortError") notice("The server does not answer. What you decided is kept; the page goes on when it is back.");
      throw error;
    }
  };

  function notice(sentence) {
    const place = document.getElementById("notice");
    if (!place || place.textContent === sentence) return;
    place.textContent = sentence;
    place.hidden = !sentence;
  }

  window.facevalue = { go, setParameters, notice, typing };
})();
