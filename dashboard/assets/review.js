/* The Review page: one picture after another. Decisions go into an outbox kept in the browser, then to the server; an
   answer takes them out again, so that neither a closed tab nor a dead server loses one. */
(function () {
  "use strict";

  const OUTBOX = "facevalue-outbox";
  const MINUS = "-minus-";
  let desk = null;
  let state = null;

  const part = (name) => desk.querySelector(`[data-part="${name}"]`);
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties || {});
    element.append(...children);
    return element;
  };
  const parameters = () => new URLSearchParams(location.search);
  const slug = () => desk.dataset.review;
  const classes = () => desk.dataset.classes.split("|");
  const reviewer = () => (document.getElementById("reviewer") || {}).value || "me";
  const blind = () => Boolean((document.querySelector("#review-blind input, input#review-blind") || {}).checked);
  const percent = (share) => `${(100 * share).toFixed(share >= 0.1 ? 0 : 1)}%`;

  /* ---- the server ------------------------------------------------------------------------------------------- */

  async function ask(what, values) {
    const query = new URLSearchParams(values);
    const answer = await fetch(`/reviewing/${encodeURIComponent(slug())}/${what}?${query}`);
    return checked(answer);
  }

  async function tell(run, what, body) {
    const answer = await fetch(`/reviewing/${encodeURIComponent(run)}/${what}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    return checked(answer);
  }

  async function checked(answer) {
    const body = await answer.json();
    if (answer.ok) return body;
    throw Object.assign(new Error(body.error || "The server refused."), { refused: answer.status < 500 });
  }

  /* ---- the outbox ------------------------------------------------------------------------------------------- */

  function outbox() {
    try { return JSON.parse(localStorage.getItem(OUTBOX) || "[]"); } catch (error) { return []; }
  }

  function keep(entries) {
    try { localStorage.setItem(OUTBOX, JSON.stringify(entries)); } catch (error) { /* the page still has them in flight */ }
  }

  let sending = null;
  let wait = 0;

  function send() {
    if (!sending) sending = empty().finally(() => { sending = null; });
    return sending;
  }

  async function empty() {
    for (let entries = outbox(); entries.length; entries = outbox()) {
      const { run, what, body } = entries[0];
      try {
        await tell(run, what, body);
        wait = 0;
      } catch (error) {
        if (!error.refused) {
          wait = Math.min(15000, wait ? 2 * wait : 1000);
          saved(`${entries.length === 1 ? "One decision waits" : `${entries.length} decisions wait`} to be saved; trying again.`, true);
          setTimeout(send, wait);
          return;
        }
        saved(error.message, true);
      }
      keep(outbox().filter((entry) => entry.body.id !== body.id));
      if (!outbox().length && desk && state.words) saved(`Saved: ${state.words}`);
    }
    if (desk) refresh();
  }

  function saved(words, wrong) {
    if (!desk) return;
    part("saved").textContent = words;
    part("saved").classList.toggle("waiting", Boolean(wrong));
  }

  /* ---- queue and pictures ------------------------------------------------------------------------------------ */

  function fresh() {
    return { queue: [], items: new Map(), current: null, past: [], future: [], done: new Set(), words: "", shown: new Set(), at: 0 };
  }

  function asked() {
    const values = parameters();
    for (const name of ["id", "run", "page"]) values.delete(name);
    values.set("reviewer", reviewer());
    return values;
  }

  async function refresh() {
    const mine = (state.at += 1);
    let answer;
    try {
      answer = await ask("queue", asked());
    } catch (error) {
      if (error.refused) finish(error.message);
      return;
    }
    if (!desk || mine !== state.at) return;
    state.queue = answer.queue.filter((id) => !state.done.has(id) && id !== state.current);
    progress(answer.progress);
    for (const id of state.queue.slice(0, 4)) load(id);
    if (!state.current) next();
  }

  function load(id) {
    if (!state.items.has(id)) {
      const values = { id, reviewer: reviewer() };
      const loading = ask("item", values).then((item) => {
        for (const address of [item.face, ...Object.values(item.maps)]) new Image().src = address;
        return item;
      });
      loading.catch(() => state.items.delete(id));
      state.items.set(id, loading);
    }
    return state.items.get(id);
  }

  function next() {
    const id = state.future.pop() || state.queue.shift();
    if (id) return show(id);
    state.current = null;
    return finish("Nothing is left in this queue.");
  }

  async function show(id) {
    state.current = id;
    const shownFor = state;
    try {
      const item = await load(id);
      if (desk && shownFor === state && state.current === id) draw(item);
    } catch (error) {
      if (desk) saved(error.message, true);
    }
    for (const other of state.queue.slice(0, 4)) load(other);
  }

  function finish(words) {
    desk.classList.add("finished");
    part("done").textContent = words;
    document.getElementById("look-alikes").hidden = true;
  }

  /* ---- drawing ---------------------------------------------------------------------------------------------- */

  function draw(item) {
    const hidden = blind();
    desk.classList.remove("finished");
    desk.classList.toggle("is-blind", hidden);
    part("done").textContent = "";
    part("face").src = item.face;
    part("face").alt = hidden ? "Picture to judge" : `Picture labelled ${item.label}`;
    part("id").textContent = item.sample_id;
    part("label").textContent = item.label;
    part("suggested").textContent = item.suggested || "none";
    part("reason").textContent = item.reason;
    mapChoice(item);
    bars(item);
    faces(part("copies"), item.copies);
    part("copies-box").hidden = hidden || !item.copies.length;
    faces(part("neighbours"), item.neighbours);
    part("neighbours-box").hidden = hidden || !item.neighbours.length;
    part("votes").textContent = item.votes ? votes(item.votes) : "";
    part("votes-box").hidden = hidden || !item.votes;
    part("votes-box").open = false;
    for (const button of desk.querySelectorAll("[data-act=accept]")) button.disabled = hidden || !item.suggested;
    for (const button of desk.querySelectorAll("[data-act=keep]")) button.disabled = hidden;
    for (const button of desk.querySelectorAll("[data-label]")) {
      button.classList.toggle("is-given", !hidden && button.dataset.label === item.label);
      button.classList.toggle("is-suggested", !hidden && button.dataset.label === item.suggested);
    }
    if (item.decided.length && !hidden) saved(`Decided: ${item.decided.map((one) => `${one.new_label || one.action.replaceAll("_", " ")} by ${one.reviewer}`).join(", ")}.`);
    history.replaceState({}, "", addressOf(item.sample_id));
    desk.dataset.sample = item.sample_id;
    document.getElementById("look-alikes").hidden = true;
  }

  function addressOf(id) {
    const values = parameters();
    values.set("id", id);
    return `${location.pathname}?${values}`;
  }

  function mapChoice(item) {
    const names = { predicted: "for the prediction", label: "for the label" };
    const box = part("maps");
    box.replaceChildren();
    const layer = part("map");
    const choose = (target) => {
      state.target = target;
      layer.hidden = !target || desk.classList.contains("is-blind");
      layer.classList.toggle("map-contrast", target.includes(MINUS));
      if (target) layer.src = item.maps[target];
      for (const button of box.children) button.setAttribute("aria-pressed", String(button.dataset.target === target));
    };
    for (const target of ["", ...Object.keys(item.maps)]) {
      const words = target ? names[target] || target.split(MINUS).join(" minus ") : "face alone";
      const button = make("button", { className: "card small map-tile", type: "button", onclick: () => choose(target) });
      const picture = make("span", { className: "stack" }, make("img", { className: "photo", src: item.face, alt: "" }));
      if (target) picture.append(make("img", { className: target.includes(MINUS) ? "map map-contrast" : "map", src: item.maps[target], alt: "" }));
      button.append(picture, make("span", { className: "caption", textContent: words }));
      button.dataset.target = target;
      box.append(button);
    }
    const wanted = state.target || "";
    const kind = wanted.includes(MINUS) ? Object.keys(item.maps).find((name) => name.includes(MINUS)) : wanted;
    choose(kind in item.maps ? kind : "");
  }

  function bars(item) {
    const rows = Object.entries(item.probabilities).map(([name, value]) => {
      const bar = make("span", { className: "bar" }, make("span", { className: "bar-fill" }));
      bar.firstChild.style.width = `${100 * value}%`;
      const kind = name === item.label ? "given-bar" : name === item.suggested ? "suggested-bar" : "";
      return make("div", { className: `bar-row ${kind}` }, make("span", { textContent: name }), bar, make("span", { className: "number", textContent: percent(value) }));
    });
    part("probabilities").replaceChildren(...rows);
  }

  function faces(box, list) {
    box.replaceChildren(
      ...list.map((one) => {
        const picture = make("img", { className: "photo", src: one.face, alt: `labelled ${one.label}` });
        const link = make("a", { className: "card small", href: `/sample?${new URLSearchParams({ ...run(), id: one.sample_id })}`, title: one.sample_id });
        link.append(make("span", { className: "stack" }, picture), make("span", { className: "caption", textContent: one.label }));
        return link;
      })
    );
  }

  const run = () => (parameters().get("run") ? { run: parameters().get("run") } : {});

  function votes(counts) {
    return Object.entries(counts).filter(([, number]) => number).sort((a, b) => b[1] - a[1])
      .map(([name, number]) => `${name.replaceAll("_", " ")} ${number}`).join(", ") + ". Shown only; no score uses them.";
  }

  function progress(found) {
    const share = found.total ? found.decided / found.total : 0;
    const fill = make("span", { className: "bar-fill" });
    fill.style.width = percent(share);
    part("bar").replaceChildren(make("span", { className: "bar" }, fill));
    const [left, low, high] = found.errors_left.map(Math.round);
    const rows = [
      ["Decided", `${found.decided.toLocaleString("en")} of ${found.total.toLocaleString("en")}`],
      ["By you", `${found.mine.toLocaleString("en")}${found.pace ? `, ${Math.round(found.pace)} an hour` : ""}`],
      ["Wrong so far", found.errors_found.toLocaleString("en")],
      ["Likely left", `${left.toLocaleString("en")} wrong (95% interval ${low.toLocaleString("en")} to ${high.toLocaleString("en")})`],
      ["Control sample", `${found.control_decided} of ${found.control_total}`],
    ];
    part("progress").replaceChildren(...rows.flatMap(([name, words]) => [make("dt", { textContent: name }), make("dd", { textContent: words })]));
    part("learned").replaceChildren(...found.sentences.map((words) => make("li", { textContent: words })));
    part("learned-box").hidden = !found.sentences.length;
  }

  /* ---- deciding --------------------------------------------------------------------------------------------- */

  function shown(item) {
    if (desk.classList.contains("is-blind")) return ["image"];
    const parts = ["image", "label", "suggestion", "probabilities"];
    if (Object.keys(item.maps).length && !document.documentElement.hasAttribute("data-maps-off")) parts.push("map");
    if (item.neighbours.length) parts.push("neighbours");
    if (part("votes-box").open) parts.push("votes");
    return parts;
  }

  const identity = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

  async function decide(action, label) {
    const id = state.current;
    if (!id || desk.classList.contains("finished")) return;
    const item = await load(id);
    if (id !== state.current || desk.dataset.sample !== id) return;
    const act = action === "relabel" && label === item.label ? "keep" : action;
    if (act === "accept" && !item.suggested) return;
    const given = act === "relabel" ? label : act === "accept" ? item.suggested : null;
    const body = { id: identity(), sample_id: id, action: act, reviewer: reviewer(), shown: shown(item) };
    if (given) body.new_label = given;
    state.words = words(item, act, given);
    keep([...outbox(), { run: slug(), what: "decide", body }]);
    state.past.push({ id, decision: body.id });
    state.done.add(id);
    state.items.delete(id);
    saved(`Saving: ${state.words}`);
    state.at += 1;
    next();
    send();
  }

  function words(item, action, given) {
    const name = item.sample_id.split("/").pop();
    const result = { keep: `${item.label} kept`, skip: "skipped", not_a_face: "not a face" }[action] || `${item.label} → ${given}`;
    return `${name}: ${result}. U undoes.`;
  }

  async function undo() {
    await send();
    if (outbox().length) return;
    const last = state.past.pop();
    try {
      const answer = await tell(slug(), "undo", Object.assign({ reviewer: reviewer() }, last && last.decision ? { id: last.decision } : {}));
      if (!answer.sample_id) { saved("There is nothing to undo."); return; }
      state.done.delete(answer.sample_id);
      state.items.clear();
      if (state.current) state.future.push(state.current);
      state.words = "";
      await show(answer.sample_id);
      saved("Undone.");
      refresh();
    } catch (error) {
      saved(error.message, true);
    }
  }

  function back() {
    const last = state.past[state.past.length - 1];
    if (!last) { saved("This is the first picture."); return; }
    state.past.pop();
    if (state.current) state.future.push(state.current);
    state.back = true;
    show(last.id);
  }

  function forward() {
    if (state.current) state.past.push({ id: state.current });
    next();
  }

  function act(action, label) {
    if (action === "undo") return undo();
    return decide(action, label);
  }

  /* ---- look-alikes ------------------------------------------------------------------------------------------ */

  async function alike() {
    const box = document.getElementById("look-alikes");
    if (!box.hidden) { box.hidden = true; return; }
    if (!state.current || desk.classList.contains("is-blind")) return;
    const { look_alikes: list } = await ask("look-alikes", { id: state.current, reviewer: reviewer() });
    const grid = box.querySelector("[data-part=batch]");
    grid.replaceChildren(
      ...list.map((one) => {
        const picture = make("img", { className: "photo", src: one.face, alt: `labelled ${one.label}` });
        const button = make("button", { type: "button", className: "card choice", title: one.sample_id });
        button.dataset.sample = one.sample_id;
        button.setAttribute("aria-pressed", "false");
        button.append(make("span", { className: "stack" }, picture), make("span", { className: "caption", textContent: one.label }));
        return button;
      })
    );
    if (!list.length) grid.replaceChildren(make("p", { className: "note", textContent: "No undecided picture with this label is left." }));
    box.hidden = false;
    box.scrollIntoView({ block: "nearest" });
    (grid.querySelector("button") || box).focus();
  }

  async function batch(what) {
    const chosen = [...document.querySelectorAll("#look-alikes [aria-pressed=true]")].map((button) => button.dataset.sample);
    if (!chosen.length) { saved("Choose pictures first.", true); return; }
    const action = ["keep", "not_a_face"].includes(what) ? what : "relabel";
    const body = { sample_ids: chosen, action, reviewer: reviewer(), shown: ["image", "label"] };
    if (action === "relabel") body.new_label = what;
    try {
      await tell(slug(), "decide-many", body);
      for (const id of chosen) state.done.add(id);
      saved(`Saved: ${chosen.length} pictures, ${what.replaceAll("_", " ")}.`);
      document.getElementById("look-alikes").hidden = true;
      refresh();
    } catch (error) {
      saved(error.message, true);
    }
  }

  /* ---- events ----------------------------------------------------------------------------------------------- */

  document.addEventListener("click", (event) => {
    if (!desk || !event.target.closest) return;
    const chosen = event.target.closest("#look-alikes .choice");
    if (chosen) chosen.setAttribute("aria-pressed", String(chosen.getAttribute("aria-pressed") !== "true"));
    const many = event.target.closest("[data-batch]");
    if (many) batch(many.dataset.batch);
    const button = event.target.closest("#review-desk [data-act]");
    if (button && !button.disabled) { act(button.dataset.act, button.dataset.label); button.blur(); }
  });

  document.addEventListener("change", (event) => {
    if (desk && ["reviewer", "review-blind"].includes(event.target.id)) setTimeout(start, 0);
  });

  document.addEventListener("keydown", (event) => {
    if (!desk || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (window.facevalue.typing(event.target) || document.querySelector("[role=dialog]")) return;
    const onButton = event.target.closest("button, a, summary");
    const hidden = desk.classList.contains("is-blind");
    const keys = {
      k: () => !hidden && decide("keep"),
      x: () => decide("not_a_face"),
      s: () => decide("skip"),
      u: undo,
      b: alike,
      ArrowLeft: back,
      ArrowRight: forward,
      Enter: () => !hidden && decide("accept"),
    };
    const label = /^[1-9]$/.test(event.key) ? classes()[Number(event.key) - 1] : null;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (onButton && (key === "Enter" || key.startsWith("Arrow"))) return;
    if (!label && !keys[key]) return;
    event.preventDefault();
    if (label) decide("relabel", label);
    else keys[key]();
  }, true);

  function start() {
    state = Object.assign(fresh(), state ? { past: state.past, target: state.target } : {});
    const id = parameters().get("id");
    if (id) show(id);
    refresh();
    if (outbox().length) send();
  }

  let queueOf = "";

  function look() {
    const found = document.getElementById("review-desk");
    const values = parameters();
    for (const name of ["id", "page"]) values.delete(name);
    const key = found ? `${slugOf(found)} ${values}` : "";
    if (found === desk && key === queueOf) return;
    desk = found;
    queueOf = key;
    if (desk) start();
  }

  const slugOf = (found) => found.dataset.review;

  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
  window.addEventListener("_dashprivate_pushstate", () => setTimeout(look, 0));
  window.addEventListener("popstate", () => setTimeout(look, 0));
  window.addEventListener("online", send);
  setTimeout(() => outbox().length && send(), 1000);
})();
