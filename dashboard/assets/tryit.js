/* The try-it page. A picture goes to the server as it is; of the camera small frames go, never more than QUEUE at once:
   a frame that finds the queue full is dropped. Answers are drawn as they come, late ones are not drawn. */
(function () {
  "use strict";

  const QUEUE = 2;
  const FRAME = 320;
  const QUALITY = 0.75;
  const RATE = 20; /* frames a second asked of the camera: more would only be decoded to be dropped */
  const STEADY = 700; /* milliseconds that a number of faces must last before it is announced */

  const HIDDEN = "The camera was stopped while the page was hidden; start it again.";

  let desk = null;
  let turn = 0; /* what was asked for last: answers to anything earlier come too late */
  let last = null; /* what was tried last, to be tried again as a whole */
  let camera = null;

  const part = (name) => desk.querySelector(`[data-part="${name}"]`);
  const make = (tag, properties, ...children) => {
    const element = Object.assign(document.createElement(tag), properties || {});
    element.append(...children);
    return element;
  };
  const counted = (number) => `${number} ${number === 1 ? "face" : "faces"}`;
  const percent = (share) => `${(100 * share).toFixed(share >= 0.1 ? 0 : 1)}%`;

  function say(sentence, wrong) {
    const place = part("status");
    if (place.textContent !== sentence) place.textContent = sentence;
    place.classList.toggle("try-wrong", Boolean(wrong));
  }

  /* ---- the server ------------------------------------------------------------------------------------------- */

  async function ask(what, body) {
    const address = `/trying/${encodeURIComponent(desk.dataset.tryit)}/${what}`;
    const headers = { "Content-Type": "application/octet-stream" };
    const silent = () => { throw new Error("The server does not answer: see that it still runs, then try again."); };
    const answer = await fetch(address, { method: "POST", body, headers }).catch(silent);
    if (answer.ok) return unpacked(await answer.arrayBuffer().catch(silent));
    const told = await answer.json().catch(() => ({}));
    const sentence = told.error || `The server could not answer (${answer.status}); its log may say why.`;
    throw Object.assign(new Error(sentence), { busy: answer.status === 429 });
  }

  function unpacked(buffer) {
    const length = new DataView(buffer).getUint32(0);
    const found = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
    let at = 4 + length;
    const take = (size) => { at += size; return new Uint8Array(buffer, at - size, size); };
    for (const face of found.faces) {
      const [height, width, channels] = face.pixels;
      face.crop = { height, width, channels, values: take(height * width * channels) };
      const [high, wide] = face.maps;
      face.drawn = face.targets.map(() => ({ height: high, width: wide, channels: 1, values: take(high * wide) }));
    }
    found.shown = found.picture ? new Blob([take(found.picture)]) : null;
    return found;
  }

  /* ---- drawing ---------------------------------------------------------------------------------------------- */

  function paint(canvas, { height, width, channels, values }) {
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    const image = new ImageData(width, height);
    for (let pixel = 0; pixel < width * height; pixel++) {
      for (let colour = 0; colour < 3; colour++)
        image.data[4 * pixel + colour] = values[channels * pixel + (channels === 3 ? colour : 0)];
      image.data[4 * pixel + 3] = 255;
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
  }

  /* As many children of a kind as there are faces; those that are there are used again. */
  function pool(place, wanted, fresh) {
    while (place.children.length > wanted) place.lastElementChild.remove();
    while (place.children.length < wanted) place.append(fresh());
    return [...place.children];
  }

  function draw(found) {
    const frames = pool(part("faces"), found.faces.length, () =>
      make("div", { className: "try-face" }, shown("map"), make("span", { className: "try-name" })));
    const cards = pool(part("cards"), found.faces.length, () => card(found.classes));
    found.faces.forEach((face, number) => {
      const guess = face.predicted;
      const target = face.targets.includes(cards[number].wanted) ? cards[number].wanted : guess;
      const map = face.drawn[face.targets.indexOf(target)];
      place(frames[number], face, found);
      const over = frames[number].querySelector("canvas");
      paint(over, map);
      over.setAttribute("aria-label", `${face.method} for ${found.classes[target]}, over face ${number + 1}`);
      frames[number].querySelector("span").textContent = `${found.classes[guess]} ${percent(face.probabilities[guess])}`;
      cards[number].setAttribute("aria-label", `Face ${number + 1}`);
      fill(cards[number], face, found.classes, guess, target);
    });
    part("empty").hidden = true;
  }

  function place(frame, face, found) {
    frame.style.left = `${100 * face.left}%`;
    frame.style.top = `${100 * face.top}%`;
    frame.style.width = `${100 * face.side}%`;
    frame.style.height = `${100 * face.height}%`;
    frame.style.transform = face.angle ? `rotate(${face.angle}deg)` : "";
  }

  function shown(kind) {
    const canvas = make("canvas", { className: kind });
    canvas.setAttribute("role", "img");
    return canvas;
  }

  function card(classes) {
    const rows = classes.map((name) =>
      make("button", { type: "button", className: "bar-row try-row", title: `Show the map of ${name}` },
        make("span", { textContent: name }),
        make("span", { className: "bar" }, make("span", { className: "bar-fill" })),
        make("span", { className: "number" })));
    const one = make("article", { className: "try-card" },
      make("span", { className: "stack" }, shown("photo"), shown("map")),
      make("div", { className: "try-bars" }, ...rows, make("p", { className: "note" })));
    rows.forEach((row, number) => row.addEventListener("click", () => {
      if (!one.found) return;
      one.wanted = number;
      draw(one.found);
    }));
    return one;
  }

  function fill(one, face, classes, guess, target) {
    const [photo, map] = one.querySelectorAll("canvas");
    paint(photo, face.crop);
    paint(map, face.drawn[face.targets.indexOf(target)]);
    photo.setAttribute("aria-label", "The face as the model is given it");
    map.setAttribute("aria-label", `${face.method} for ${classes[target]}`);
    one.querySelectorAll(".try-row").forEach((row, number) => {
      row.querySelector(".bar-fill").style.width = `${100 * face.probabilities[number]}%`;
      row.querySelector(".number").textContent = percent(face.probabilities[number]);
      row.classList.toggle("suggested-bar", number === guess);
      row.disabled = !face.targets.includes(number);
      row.setAttribute("aria-pressed", String(number === target));
    });
    one.querySelector("p").textContent = `${face.method} for ${classes[target]}`;
  }

  /* ---- pictures --------------------------------------------------------------------------------------------- */

  async function attempt(what, body, wait) {
    stopCamera();
    const late = begun();
    const most = Number(desk.dataset.most);
    if (body.size > most) {
      say(`The picture is larger than ${most / 1024 / 1024} MB; give a smaller one.`, true);
      return;
    }
    last = what === "whole" ? last : { what, body };
    say(wait || "Looking for faces. The model is loaded first where it was not used for a while.");
    part("whole").hidden = true;
    try {
      const found = await ask(what, body);
      if (!late()) show(found);
    } catch (error) {
      if (!late()) say(error.message, true);
    }
  }

  /* A new turn; what is given says whether another has begun since, or the page was left. */
  function begun() {
    const own = ++turn;
    const place = desk;
    return () => own !== turn || place !== desk || !place.isConnected;
  }

  function show(found) {
    const picture = part("picture");
    URL.revokeObjectURL(picture.src);
    picture.src = URL.createObjectURL(found.shown);
    picture.hidden = false;
    part("frame").hidden = true;
    last.shown = found.shown;
    pool(part("cards"), 0);
    draw(found);
    for (const one of part("cards").children) one.found = found;
    const number = found.faces.length;
    if (number < found.found) say(`The ${number} largest of ${found.found} faces found.`);
    else if (number) say(`${counted(number)} found.`);
    else say("No face was found: one seen from the front, not turned by more than about 20 degrees, was expected.", true);
    part("whole").hidden = Boolean(number);
  }

  function choose() {
    const input = make("input", { type: "file", accept: "image/*" });
    input.addEventListener("change", () => input.files[0] && attempt("picture", input.files[0]));
    input.click();
  }

  function fetchAddress() {
    const address = document.getElementById("try-address").value.trim();
    if (address) attempt("address", address, "Fetching the picture.");
    else say("Give the address of a picture first.", true);
  }

  /* ---- the camera ------------------------------------------------------------------------------------------- */

  async function startCamera() {
    if (!navigator.mediaDevices) {
      say("The browser gives no camera to this page: open it as localhost or over https.", true);
      return;
    }
    const late = begun();
    const button = desk.querySelector("[data-act=camera]");
    button.disabled = true;
    let stream = null;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 }, frameRate: { ideal: RATE } } });
      const video = make("video", { srcObject: stream, muted: true, playsInline: true });
      await video.play();
      if (late() || document.hidden) {
        release(stream);
        if (!late()) say(HIDDEN);
        return;
      }
      part("picture").hidden = part("whole").hidden = true;
      pool(part("faces"), 0);
      pool(part("cards"), 0);
      camera = { stream, video, waiting: 0, sent: 0, drawn: 0, times: [], faces: -1, since: 0, canvas: document.createElement("canvas") };
      camera.watch = setInterval(() => { if (!button.isConnected) stopCamera(); }, 500); /* the page was left */
      const own = camera;
      const gone = () => { if (camera === own) stopCamera("The camera has gone: connect it again, then start it.", true); };
      for (const track of stream.getTracks()) track.addEventListener("ended", gone);
      desk.dataset.carrying = "0";
      button.textContent = "Stop the camera";
      say("The camera runs; the model is loaded.");
      next(camera);
    } catch (error) {
      release(stream);
      if (!late()) say(`The camera cannot be used (${error.message || error.name}).`, true);
    } finally {
      button.disabled = false;
    }
  }

  function release(stream) {
    for (const track of stream ? stream.getTracks() : []) track.stop();
  }

  function stopCamera(why, wrong) {
    if (!camera) return;
    clearInterval(camera.watch);
    release(camera.stream);
    camera.video.srcObject = null;
    camera = null;
    if (!desk.isConnected) return;
    part("frame").hidden = true;
    part("empty").hidden = false;
    pool(part("faces"), 0);
    part("rate").textContent = "";
    desk.querySelector("[data-act=camera]").textContent = "Start the camera";
    say(why || "The camera is off.", wrong);
  }

  function next(own) {
    const step = () => {
      if (camera !== own) return;
      if (own.waiting < QUEUE) send(own);
      next(own);
    };
    if (own.video.requestVideoFrameCallback) own.video.requestVideoFrameCallback(step);
    else setTimeout(step, 33);
  }

  async function send(own) {
    const { canvas, video } = own;
    const number = ++own.sent;
    own.waiting += 1;
    let frame = null;
    try {
      frame = await createImageBitmap(video);
      Object.assign(canvas, { width: FRAME, height: Math.round((FRAME * frame.height) / frame.width) });
      canvas.getContext("2d").drawImage(frame, 0, 0, canvas.width, canvas.height);
      const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
      const found = await ask("frame", blob);
      if (camera !== own || number < own.drawn) return;
      own.drawn = number;
      showFrame(frame);
      draw(found);
      tell(own, found.faces.length);
    } catch (error) {
      if (camera === own && !error.busy) stopCamera(error.message, true);
    } finally {
      if (frame) frame.close();
      own.waiting -= 1;
    }
  }

  /* The frame that was judged, not the present one: the face and its map belong together. */
  function showFrame(frame) {
    const stage = part("frame");
    if (stage.width !== frame.width || stage.height !== frame.height)
      Object.assign(stage, { width: frame.width, height: frame.height });
    stage.getContext("2d").drawImage(frame, 0, 0);
    stage.hidden = false;
  }

  /* The number of faces is announced once it lasts; the rate, which never does, stands outside what is read aloud. */
  function tell(own, faces) {
    const now = performance.now();
    own.times = [...own.times.filter((time) => now - time < 2000), now];
    if (faces) desk.dataset.carrying = String(Number(desk.dataset.carrying) + 1);
    const rate = own.times.length > 1 ? ((own.times.length - 1) * 1000) / (now - own.times[0]) : 0;
    part("rate").textContent = `${rate.toFixed(0)} frames a second`;
    if (faces !== own.faces) Object.assign(own, { faces, since: now });
    if (now - own.since >= STEADY) say(faces ? `${counted(faces)} in view.` : "No face in view.");
  }

  /* ---- what a person does ------------------------------------------------------------------------------------- */

  const ACTS = {
    file: choose,
    fetch: fetchAddress,
    camera: () => (camera ? stopCamera() : startCamera()),
    whole: () => last && attempt("whole", last.what === "picture" ? last.body : last.shown),
  };

  function here() {
    const found = document.getElementById("tryit");
    desk = found || desk; /* what is under way when the page is left still asks whether it was */
    return Boolean(found);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("#tryit [data-act]");
    if (button && here()) ACTS[button.dataset.act]();
  });

  document.addEventListener("visibilitychange", () => {
    if (document.hidden) stopCamera(HIDDEN);
  });

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.id === "try-address" && here()) fetchAddress();
  });

  document.addEventListener("dragover", (event) => { if (here()) event.preventDefault(); });

  document.addEventListener("drop", (event) => {
    if (!here()) return;
    event.preventDefault();
    const file = event.dataTransfer.files[0];
    if (file) attempt("picture", file);
  });

  document.addEventListener("paste", (event) => {
    const file = event.clipboardData && event.clipboardData.files[0];
    if (file && here()) attempt("picture", file);
  });
})();
