/* Parts of a page that are plain HTML: put in place at once, where Dash would build them component by component. */
(function () {
  "use strict";

  const placed = new WeakMap();

  function place(part) {
    const text = part.dataset.html;
    if (placed.get(part) === text) return;
    placed.set(part, text);
    part.innerHTML = text;
  }

  new MutationObserver((changes) => {
    for (const { target, addedNodes, type } of changes) {
      if (type === "attributes") place(target);
      for (const node of addedNodes) {
        if (node.nodeType !== Node.ELEMENT_NODE) continue;
        if (node.dataset.html !== undefined) place(node);
        for (const part of node.querySelectorAll("[data-html]")) place(part);
      }
    }
  }).observe(document.documentElement, { childList: true, subtree: true, attributeFilter: ["data-html"] });
})();
