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
  const reviewer = () => ((document.getElementById("reviewer") || {}).value || "").trim() || "me";
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
    throw Object.assign(new Error(body.error || "The server refused."), { status: answer.status, refused: answer.status < 500 });
  }

  /* ---- the outbox ------------------------------------------------------------------------------------------- */

  let memory = null; /* the outbox where the browser stores nothing */
  const held = new Set(); /* decisions of runs that this server does not serve: kept for one that does */

  function outbox() {
    if (memory) return memory;
    try { return JSON.parse(localStorage.getItem(OUTBOX) || "[]"); } catch (error) { return []; }
  }

  function keep(entries) {
    try {
      localStorage.setItem(OUTBOX, JSON.stringify(entries));
      memory = null;
    } catch (error) {
      memory = entries;
    }
  }

  const due = () => outbox().filter((entry) => !held.has(entry.body.id));

  let sending = null;
  let wait = 0;

  function send() {
    if (!sending) sending = empty().finally(() => { sending = null; });
    return sending;
  }

  async function empty() {
    for (let entries = due(); entries.length; entries = due()) {
      const { run, what, body } = entries[0];
      let refused = null;
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
        if (error.status === 404) { held.add(body.id); continue; }
        refused = error.message;
        if (state) for (const id of body.sample_ids || [body.sample_id]) state.done.delete(id);
      }
      keep(outbox().filter((entry) => entry.body.id !== body.id));
      if (refused) saved(refused, true);
      else if (!due().length && desk && state.words) saved(`Saved: ${state.words}`);
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
    return { queue: [], items: new Map(), current: null, past: [], decided: [], future: [], done: new Set(), words: "", at: 0, soft: null };
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
    state.soft = null;
    const shownFor = state;
    try {
      const item = await load(id);
      if (desk && shownFor === state && state.current === id) draw(item);
    } catch (error) {
      if (desk) saved(error.message, true);
    }
    for (const other of state.queue.slice(0, 4)) load(other);
  }

  /* The reason that is written under the buttons: it goes with the next decision and is empty after it. */
  const reasonField = () => part("why").querySelector("input");
  const why = () => reasonField().value.trim();

  function askWhy() {
    if (reasonField()) return;
    const field = make("input", { type: "text", maxLength: 500, placeholder: "Reason, if one is worth keeping (N)" });
    field.setAttribute("aria-label", "Reason for the decision");
    field.addEventListener("keydown", (event) => { if (event.key === "Enter") field.blur(); });
    part("why").replaceChildren(field);
  }

  function finish(words) {
    desk.classList.add("finished");
    part("done").textContent = words;
    document.getElementById("look-alikes").hidden = true;
    part("soft").hidden = true;
  }

  /* ---- drawing ---------------------------------------------------------------------------------------------- */

  function draw(item) {
    const hidden = blind();
    desk.classList.remove("finished");
    desk.classList.toggle("is-blind", hidden);
    part("done").textContent = "";
    if (desk.dataset.sample !== item.sample_id) reasonField().value = "";
    part("face").src = item.face;
    part("face").alt = hidden ? "Picture to judge" : `Picture labelled ${item.label}`;
    part("id").textContent = hidden ? "" : item.sample_id;
    part("soft").hidden = true;
    part("ambiguous").hidden = hidden || !item.ambiguous.length;
    part("ambiguous").textContent = split(item);
    part("label").textContent = item.label;
    part("suggested").textContent = item.suggested || "none";
    part("reason").textContent = [item.reason, chances(item)].join(" ");
    overlay(item);
    bars(item);
    shown(item);
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
    history.replaceState({}, "", addressOf(hidden ? null : item.sample_id));
    desk.dataset.sample = item.sample_id;
    document.getElementById("look-alikes").hidden = true;
    // The face is seen a frame before what lies around it: the next decision waits for nothing else.
    requestAnimationFrame(() => setTimeout(() => { if (desk && state.current === item.sample_id) around(item, hidden); }, 0));
  }

  function around(item, hidden) {
    mapTiles(item);
    faces(part("copies"), item.copies);
    part("copies-box").hidden = hidden || !item.copies.length;
    faces(part("neighbours"), item.neighbours);
    part("neighbours-box").hidden = hidden || !item.neighbours.length;
    if (parameters().get("queue") === "duplicates" && !hidden) group();
  }

  function split(item) {
    const judges = item.ambiguous.map((judge) => ({ model: "the model", votes: "the annotators" })[judge]);
    const who = `${judges.join(" and ")} ${judges.join() === "the model" ? "is" : "are"}`;
    const where = item.ambiguous.includes("votes") ? " (their votes are below)" : "";
    return `Ambiguous: ${who} split${where}. Perhaps no single emotion; a soft label (L) can say so.`;
  }

  function chances(item) {
    if (item.score === null) return "";
    const right = item.suggestion_score === null ? "" : `, that ${item.suggested} is right ${percent(item.suggestion_score)}`;
    return `After what was decided so far, the chance that the label is wrong is ${percent(item.score)}${right}.`;
  }

  /* The name of a picture often holds its label, so a blind review keeps it out of the address too. */
  function addressOf(id) {
    const values = parameters();
    values.delete("id");
    if (id) values.set("id", id);
    const query = String(values);
    return query ? `${location.pathname}?${query}` : location.pathname;
  }

  /* Which of the picture's maps is wanted: the one chosen before, or its like. */
  function wanted(item) {
    const before = state.target || "";
    const kind = before.includes(MINUS) ? Object.keys(item.maps).find((name) => name.includes(MINUS)) : before;
    return kind in item.maps ? kind : "";
  }

  function overlay(item) {
    const target = wanted(item);
    const layer = part("map");
    layer.hidden = !target || desk.classList.contains("is-blind");
    layer.classList.toggle("map-contrast", target.includes(MINUS));
    if (target) layer.src = item.maps[target];
    for (const button of part("maps").children) button.setAttribute("aria-pressed", String(button.dataset.target === target));
  }

  function mapTiles(item) {
    const names = { predicted: "for the prediction", label: "for the label" };
    const tiles = ["", ...Object.keys(item.maps)].map((target) => {
      const words = target ? names[target] || target.split(MINUS).join(" minus ") : "face alone";
      const choose = () => { state.target = target; overlay(item); };
      const button = make("button", { className: "card small map-tile", type: "button", onclick: choose });
      const picture = make("span", { className: "stack" }, make("img", { className: "photo", src: item.face, alt: "" }));
      if (target) picture.append(make("img", { className: target.includes(MINUS) ? "map map-contrast" : "map", src: item.maps[target], alt: "" }));
      button.append(picture, make("span", { className: "caption", textContent: words }));
      button.dataset.target = target;
      return button;
    });
    part("maps").replaceChildren(...tiles);
    overlay(item);
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
        const words = one.kind && one.kind !== "exact" ? `${one.label}, ${one.kind}` : one.label;
        const link = make("a", { className: "card small", href: `/sample?${new URLSearchParams({ ...run(), id: one.sample_id })}`, title: one.sample_id });
        link.append(make("span", { className: "stack" }, picture), make("span", { className: "caption", textContent: words }));
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

  function visible(item) {
    if (desk.classList.contains("is-blind")) return ["image"];
    const parts = ["image", "label", "suggestion", "probabilities"];
    if (Object.keys(item.maps).length && !document.documentElement.hasAttribute("data-maps-off")) parts.push("map");
    if (item.neighbours.length) parts.push("neighbours");
    if (part("votes-box").open) parts.push("votes");
    return parts;
  }

  /* What a picture was once seen with stays seen: going blind afterwards makes no decision on it a blind one. */
  const seen = new Map();

  function shown(item, ...more) {
    const key = `${slug()} ${item.sample_id}`;
    seen.set(key, new Set([...(seen.get(key) || []), ...visible(item), ...more]));
    return [...seen.get(key)];
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
    const body = { id: identity(), sample_id: id, action: act, reviewer: reviewer(), shown: shown(item), reason: why() };
    if (given) body.new_label = given;
    if (act === "soft") body.soft = shares();
    record("decide", body, [id], [body.id], words(item, act, given));
    shown(item, "label");
    next();
    send();
  }

  /* Into the outbox first, so that nothing that was decided depends on the server. */
  function record(what, body, ids, decisions, told) {
    keep([...outbox(), { run: slug(), what, body }]);
    state.past.push({ id: state.current });
    state.decided.push({ id: state.current, decisions });
    for (const id of ids) { state.done.add(id); state.items.delete(id); }
    state.queue = state.queue.filter((id) => !state.done.has(id));
    state.words = told;
    state.at += 1;
    saved(`Saving: ${told}`);
  }

  function words(item, action, given) {
    const name = item.sample_id.split("/").pop();
    const result = { keep: `${item.label} kept`, skip: "skipped", not_a_face: "not a face", soft: told() }[action] || `${item.label} → ${given}`;
    return `${name}: ${result}. U undoes.`;
  }

  /* ---- soft labels: parts are dealt out among the labels, and their shares are the decision ------------------ */

  function softly() {
    if (!state.current || desk.classList.contains("finished")) return;
    state.soft = state.soft ? null : [];
    drawSoft();
  }

  function deal(label) {
    state.soft.push(label);
    drawSoft();
  }

  function takeBack() {
    state.soft.pop();
    drawSoft();
  }

  function shares() {
    const found = {};
    for (const label of state.soft) found[label] = (found[label] || 0) + 1 / state.soft.length;
    return found;
  }

  const told = () => (state.soft ? Object.entries(shares()).map(([name, share]) => `${name} ${percent(share)}`).join(", ") : "");

  function drawSoft() {
    part("soft").hidden = !state.soft;
    if (!state.soft) return;
    part("soft-words").textContent = told() || "Press the number of each emotion you see, more often for more of it.";
    desk.querySelector("[data-act=soft-save]").disabled = state.soft.length < 2;
  }

  async function undo() {
    await send();
    if (due().length) return;
    const last = state.decided[state.decided.length - 1];
    try {
      let answer = null;
      for (const id of last ? last.decisions : [null]) {
        answer = await tell(slug(), "undo", Object.assign({ reviewer: reviewer() }, id ? { id } : {}));
        if (!answer.sample_id) { saved("There is nothing to undo."); return; }
        state.done.delete(answer.sample_id);
      }
      state.decided.pop();
      state.items.clear();
      if (state.current) state.future.push(state.current);
      state.words = "";
      const again = (last && last.id) || answer.sample_id;
      state.past = state.past.filter((entry) => entry.id !== again);
      await show(again);
      saved("Undone.");
      refresh();
    } catch (error) {
      saved(error.message, true);
    }
  }

  /* What was said is of the picture that is left; what waits to be saved stays said. */
  function leave() {
    if (!due().length) saved("");
  }

  function back() {
    const last = state.past[state.past.length - 1];
    if (!last) { saved("This is the first picture."); return; }
    state.past.pop();
    if (state.current) state.future.push(state.current);
    state.back = true;
    leave();
    show(last.id);
  }

  function forward() {
    if (state.current) state.past.push({ id: state.current });
    leave();
    next();
  }

  function act(action, label) {
    const acts = { undo, soft: softly, "soft-save": () => decide("soft"), "soft-leave": softly };
    if (acts[action]) return acts[action]();
    if (state.soft && action === "relabel") return deal(label);
    return decide(action, label);
  }

  /* ---- many at once: look-alikes, or the copies of one picture ------------------------------------------------ */

  const box = () => document.getElementById("look-alikes");
  const chosen = () => [...box().querySelectorAll("[aria-pressed=true]")].map((button) => button.dataset.sample);

  async function alike() {
    if (!box().hidden) { box().hidden = true; return; }
    if (!state.current || desk.classList.contains("is-blind")) return;
    const { look_alikes: list } = await ask("look-alikes", { id: state.current, reviewer: reviewer() });
    fill(list, "Look-alikes", "Undecided pictures most like this one, with the same label. Choose some (A: all) and give them one label.", false);
    if (!list.length) box().querySelector("[data-part=batch]").replaceChildren(make("p", { className: "note", textContent: "No undecided picture with this label is left." }));
    box().scrollIntoView({ block: "nearest" });
    (box().querySelector(".choice") || box()).focus();
  }

  async function group() {
    const id = state.current;
    const { together: list } = await ask("together", { id, reviewer: reviewer() });
    if (id !== state.current || list.length < 2) return;
    fill(list, "The same picture", "What you decide now holds for all that are marked; click one to leave it out.", true);
  }

  function fill(list, title, about, marked) {
    box().querySelector("h2").textContent = title;
    box().querySelector(".section-head .note").textContent = about;
    box().querySelector("[data-part=batch]").replaceChildren(
      ...list.map((one) => {
        const picture = make("img", { className: "photo", src: one.face, alt: `labelled ${one.label}` });
        const button = make("button", { type: "button", className: "card choice", title: one.sample_id });
        button.dataset.sample = one.sample_id;
        button.setAttribute("aria-pressed", String(marked));
        button.append(make("span", { className: "stack" }, picture), make("span", { className: "caption", textContent: one.label }));
        return button;
      })
    );
    box().hidden = false;
  }

  function chooseAll() {
    const buttons = [...box().querySelectorAll(".choice")];
    const all = buttons.every((button) => button.getAttribute("aria-pressed") === "true");
    for (const button of buttons) button.setAttribute("aria-pressed", String(!all));
  }

  function batch(what) {
    const names = chosen();
    if (!names.length) { saved("Choose pictures first.", true); return; }
    const action = ["keep", "not_a_face", "skip"].includes(what) ? what : "relabel";
    const ids = names.map(identity);
    const body = { id: identity(), ids, sample_ids: names, action, reviewer: reviewer(), shown: ["image", "label"], reason: why() };
    if (action === "relabel") body.new_label = what;
    const here = state.current;
    record("decide-many", body, names, ids, `${names.length} pictures, ${what.replaceAll("_", " ")}. U undoes.`);
    box().hidden = true;
    if (names.includes(here)) next();
    send();
  }

  /* ---- events ----------------------------------------------------------------------------------------------- */

  document.addEventListener("click", (event) => {
    if (!desk || !event.target.closest) return;
    const choice = event.target.closest("#look-alikes .choice");
    if (choice) choice.setAttribute("aria-pressed", String(choice.getAttribute("aria-pressed") !== "true"));
    const many = event.target.closest("[data-batch]");
    if (many) batch(many.dataset.batch);
    const button = event.target.closest("#review-desk [data-act]");
    if (button && !button.disabled) { act(button.dataset.act, button.dataset.label); button.blur(); }
  });

  document.addEventListener("toggle", (event) => {
    if (desk && state.current && event.target === part("votes-box")) load(state.current).then(shown);
  }, true);

  document.addEventListener("change", (event) => {
    if (desk && ["reviewer", "review-blind"].includes(event.target.id)) setTimeout(start, 0);
  });

  document.addEventListener("keydown", (event) => {
    if (!desk || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    if (window.facevalue.typing(event.target) || document.querySelector("[role=dialog]")) return;
    if (event.key === "g") leaving = event.timeStamp;
    if (event.timeStamp - leaving < 1200) return;
    const onButton = event.target.closest("button, a, summary");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const label = /^[1-9]$/.test(key) ? classes()[Number(key) - 1] : null;
    const keys = state.soft ? softKeys(label) : !box().hidden && chosen().length ? manyKeys(label) : deskKeys(label);
    const does = label ? keys.label : keys[key];
    if (!does || (onButton && (key === "Enter" || key.startsWith("Arrow")))) return;
    event.preventDefault();
    does();
  }, true);

  let leaving = -Infinity;

  function deskKeys(label) {
    const hidden = desk.classList.contains("is-blind");
    return {
      label: () => decide("relabel", label),
      k: () => !hidden && decide("keep"),
      x: () => decide("not_a_face"),
      s: () => decide("skip"),
      l: softly,
      u: undo,
      n: () => reasonField().focus(),
      b: alike,
      ...(box().hidden ? {} : { a: chooseAll }),
      ArrowLeft: back,
      ArrowRight: forward,
      Enter: () => !hidden && decide("accept"),
    };
  }

  function softKeys(label) {
    return {
      label: () => deal(label),
      Backspace: takeBack,
      Escape: softly,
      l: softly,
      Enter: () => state.soft.length > 1 && decide("soft"),
    };
  }

  function manyKeys(label) {
    return {
      label: () => batch(label),
      Enter: () => load(state.current).then((item) => item.suggested && batch(item.suggested)),
      k: () => batch("keep"),
      x: () => batch("not_a_face"),
      s: () => batch("skip"),
      a: chooseAll,
      b: alike,
      u: undo,
      ArrowLeft: back,
      ArrowRight: forward,
      Escape: () => { box().hidden = true; },
    };
  }

  function start() {
    askWhy();
    state = Object.assign(fresh(), state ? { past: state.past, decided: state.decided, target: state.target } : {});
    const id = parameters().get("id");
    if (id) show(id);
    refresh();
    if (due().length) send();
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
  setTimeout(() => due().length && send(), 1000);
})();
