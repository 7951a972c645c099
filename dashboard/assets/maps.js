/* Maps: those computed on demand, raw values under the pointer, and views saved as they are seen. */
(function () {
  "use strict";

  /* ---- computed on demand: one at a time, so that the server stays free for pictures --------------------------- */

  let queue = Promise.resolve();

  function begin() {
    for (const image of document.querySelectorAll("img.map[data-src]")) {
      if (image.dataset.begun === image.dataset.src) continue;
      image.dataset.begun = image.dataset.src;
      image.removeAttribute("src");
      say(image, "waiting …", "waiting");
      queue = queue.then(() => compute(image, image.dataset.src));
    }
  }

  async function compute(image, address) {
    if (!image.isConnected || image.dataset.src !== address) return;
    say(image, "computing …", "waiting");
    try {
      const answer = await fetch(address);
      if (answer.ok) { image.src = address; await answer.blob(); say(image, "", ""); return; }
      const page = new DOMParser().parseFromString(await answer.text(), "image/svg+xml");
      const reason = page.querySelector("title");
      say(image, reason ? reason.textContent : "The map could not be computed.", "failed");
    } catch (error) {
      say(image, "The server does not answer.", "failed");
    }
  }

  function say(image, words, state) {
    const place = image.parentElement && image.parentElement.querySelector(".computing");
    if (!place) return;
    place.textContent = words;
    place.title = words;
    place.dataset.state = state;
  }

  new MutationObserver(begin).observe(document.body, { childList: true, subtree: true, attributeFilter: ["data-src"] });

  /* ---- raw values under the pointer ---------------------------------------------------------------------------- */

  const arrays = new Map();
  let tip = null, asked = 0;

  /* The file with the raw values of a map's picture; a picture made by the page itself carries its values. */
  function valuesOf(image) {
    if (image.dataset.values) return Promise.resolve(JSON.parse(image.dataset.values));
    const address = new URL(image.dataset.src || image.getAttribute("src") || "", location.href);
    if (!address.pathname.endsWith(".png")) return Promise.resolve(null);
    address.pathname = address.pathname.replace(/\.png$/, ".npy");
    for (const name of ["as", "scaling", "scale"]) address.searchParams.delete(name);
    if (!arrays.has(address.href)) {
      if (arrays.size > 400) arrays.clear();
      arrays.set(address.href, fetch(address).then((answer) => (answer.ok ? answer.arrayBuffer() : null)).then(parsed, () => null));
    }
    return arrays.get(address.href);
  }

  /* NumPy's format, version 1: magic, version, length of the head, the head as a Python dict, float32 values. */
  function parsed(buffer) {
    if (!buffer) return null;
    const length = new DataView(buffer).getUint16(8, true);
    const head = new TextDecoder().decode(new Uint8Array(buffer, 10, length));
    const [height, width] = head.match(/\((\d+), (\d+)\)/).slice(1).map(Number);
    const values = new Float32Array(buffer.slice(10 + length));
    return { rows: Array.from({ length: height }, (_, row) => Array.from(values.slice(row * width, (row + 1) * width))) };
  }

  document.addEventListener("pointermove", (event) => {
    const stack = event.target.closest && event.target.closest(".stack");
    const image = stack && stack.querySelector("img.map");
    if (!image || event.pointerType === "touch") { hide(); return; }
    const turn = ++asked;
    setTimeout(() => { if (turn === asked) point(image, event.clientX, event.clientY, turn); }, 60);
  });

  async function point(image, x, y, turn) {
    const found = await valuesOf(image);
    if (!found || turn !== asked || !image.isConnected) return;
    const box = image.getBoundingClientRect();
    const rows = found.rows, height = rows.length, width = rows[0].length;
    const row = Math.floor(((y - box.top) / box.height) * height), column = Math.floor(((x - box.left) / box.width) * width);
    if (row < 0 || column < 0 || row >= height || column >= width) { hide(); return; }
    const value = rows[row][column];
    const words = value === null || Number.isNaN(value) ? "no value" : short(value);
    const sure = found.p ? `, p ${found.p[row][column] < 0.001 ? "under 0.001" : found.p[row][column].toFixed(3)}` : "";
    show(`raw ${words}${sure} (row ${row + 1} of ${height}, column ${column + 1} of ${width})`, x, y);
  }

  function short(value) {
    return value.toPrecision(3).replace("-", "−");
  }

  function show(words, x, y) {
    if (!tip) {
      tip = document.createElement("div");
      tip.className = "map-tip";
      document.body.append(tip);
    }
    tip.textContent = words;
    tip.hidden = false;
    tip.style.left = `${Math.min(x + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${y + 18 + tip.offsetHeight > innerHeight ? y - tip.offsetHeight - 10 : y + 18}px`;
  }

  function hide() {
    asked++;
    if (tip) tip.hidden = true;
  }

  document.addEventListener("scroll", hide, true);

  /* ---- a view saved as it is seen: pictures, maps with their colours, and words ---------------------------------- */

  document.addEventListener("click", async (event) => {
    const button = event.target.closest && event.target.closest("button[data-export]");
    if (!button) return;
    const part = document.querySelector(`[data-exportable="${button.dataset.of}"]`);
    if (!part) return;
    button.disabled = true;
    try {
      const drawn = await svgOf(part);
      const file = new Blob([drawn.text], { type: "image/svg+xml" });
      save(button.dataset.export === "svg" ? file : await painted(file, drawn), `${button.dataset.of}.${button.dataset.export}`);
    } finally {
      button.disabled = false;
    }
  });

  const MARGIN = 16;

  async function svgOf(part) {
    const box = part.getBoundingClientRect();
    const width = Math.ceil(part.scrollWidth + 2 * MARGIN), height = Math.ceil(part.scrollHeight + 2 * MARGIN);
    const place = (inner) => ({ x: inner.left - box.left + MARGIN, y: inner.top - box.top + MARGIN, w: inner.width, h: inner.height });
    const images = [...part.querySelectorAll("img")].filter((image) => image.naturalWidth && getComputedStyle(image).visibility !== "hidden");
    const pictures = await Promise.all(images.map((image) => drawnImage(image, place(image.getBoundingClientRect()))));
    const shapes = [...part.querySelectorAll(".swatch, .strip, .dot")].map((one, number) => drawnShape(one, place(one.getBoundingClientRect()), number));
    const used = new Set(images.map(filterOf).filter(Boolean));
    const filters = [...used].map((id) => new XMLSerializer().serializeToString(document.getElementById(id)));
    const page = getComputedStyle(document.documentElement).getPropertyValue("--surface").trim() || "#fff";
    const text = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">` +
      `<defs>${filters.join("")}</defs><rect width="100%" height="100%" fill="${page}"/>${pictures.join("")}${shapes.join("")}${words(part, place)}</svg>`;
    return { text, width, height };
  }

  function filterOf(image) {
    const named = getComputedStyle(image).filter.match(/#([\w-]+)/);
    return named && named[1];
  }

  async function drawnImage(image, { x, y, w, h }) {
    const filter = filterOf(image);
    const look = `opacity="${getComputedStyle(image).opacity}"${filter ? ` filter="url(#${filter})"` : ""}`;
    return `<image x="${x}" y="${y}" width="${w}" height="${h}" preserveAspectRatio="xMidYMid meet" ${look} href="${await dataAddress(image.currentSrc)}"/>`;
  }

  /* A coloured bar or dot: stops of its gradient, or its one colour. */
  function drawnShape(one, { x, y, w, h }, number) {
    const style = getComputedStyle(one);
    const stops = [...style.backgroundImage.matchAll(/(rgba?\([^)]*\))((?:\s+[\d.]+%)*)/g)];
    if (!w || !h) return "";
    const box = `x="${x}" y="${y}" width="${w}" height="${h}" rx="${Math.min(3, h / 2)}"`;
    if (!stops.length) return `<rect ${box} fill="${style.backgroundColor}"/>`;
    const marks = stops.flatMap(([, colour, places], index) => (places.trim() ? places.trim().split(/\s+/) : [`${(100 * index) / (stops.length - 1 || 1)}%`])
      .map((place) => `<stop offset="${place}" stop-color="${colour}"/>`));
    return `<linearGradient id="bar-${number}">${marks.join("")}</linearGradient><rect ${box} fill="url(#bar-${number})"/>`;
  }

  async function dataAddress(address) {
    if (address.startsWith("data:")) return address.replace(/&/g, "&amp;");
    const blob = await (await fetch(address)).blob();
    return new Promise((resolve) => {
      const reader = new FileReader();
      reader.onload = () => resolve(reader.result);
      reader.readAsDataURL(blob);
    });
  }

  /* Every line of text where the browser has put it. */
  function words(part, place) {
    const walker = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
    const lines = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const style = getComputedStyle(node.parentElement);
      if (!node.data.trim() || style.visibility === "hidden" || node.parentElement.closest("button, .pager, .controls")) continue;
      const found = linesOf(node);
      for (const { text, box } of found) lines.push(line(text, place(box), place(box).x, style));
      if (!found.length) continue;
      const before = added(node.parentElement, "::before"), after = added(node.parentElement, "::after");
      if (before) lines.push(line(before, place(found[0].box), place(node.parentElement.getBoundingClientRect()).x, style));
      if (after) lines.push(line(after, place(found[0].box), place(found[0].box).x + found[0].width, style));
    }
    return lines.join("");
  }

  function line(text, { y, h }, x, style) {
    return `<text x="${x}" y="${y + h * 0.78}" font-family="${style.fontFamily.replace(/"/g, "'")}" font-size="${style.fontSize}" ` +
      `font-weight="${style.fontWeight}" fill="${style.color}" xml:space="preserve">${escaped(text)}</text>`;
  }

  /* The text that a style puts before or after an element. */
  function added(element, where) {
    const content = getComputedStyle(element, where).content;
    return /^".*"$/.test(content) ? content.slice(1, -1) : "";
  }

  function linesOf(node) {
    const range = document.createRange(), lines = [];
    for (const word of node.data.matchAll(/\S+\s*/g)) {
      range.setStart(node, word.index);
      range.setEnd(node, word.index + word[0].trimEnd().length);
      const box = range.getBoundingClientRect();
      const last = lines[lines.length - 1];
      if (!box.width) continue;
      if (last && Math.abs(last.box.top - box.top) < 3) { last.text += word[0]; last.width = box.right - last.box.left; }
      else lines.push({ text: word[0], box, width: box.width });
    }
    return lines;
  }

  function escaped(text) {
    return text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]);
  }

  async function painted(file, { width, height }) {
    const image = new Image(), address = URL.createObjectURL(file);
    await new Promise((resolve, reject) => { image.onload = resolve; image.onerror = reject; image.src = address; });
    const canvas = Object.assign(document.createElement("canvas"), { width: 2 * width, height: 2 * height });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    URL.revokeObjectURL(address);
    return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  }

  function save(file, name) {
    const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(file), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
})();
