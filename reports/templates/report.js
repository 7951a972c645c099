"use strict";
const figures = JSON.parse(document.getElementById("figures").textContent);
const plots = Array.from(document.querySelectorAll(".plot"));
const config = { displaylogo: false, responsive: true, modeBarButtons: [["toImage"]] };
const button = document.getElementById("theme");
const preferred = window.matchMedia("(prefers-color-scheme: dark)");
let theme = preferred.matches ? "dark" : "light";
let printing = false;

function draw(plot) {
  const shown = printing ? "light" : theme;
  if (plot.dataset.theme === shown) return;
  plot.dataset.theme = shown;
  const figure = figures[plot.dataset.key][shown];
  Plotly.react(plot, figure.data, figure.layout, config);
}

function apply() {
  document.documentElement.dataset.theme = theme;
  button.textContent = theme === "dark" ? "Light" : "Dark";
  plots.filter((plot) => plot.dataset.theme).forEach(draw);
}

const near = new IntersectionObserver(
  (entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => {
    near.unobserve(entry.target);
    draw(entry.target);
  }),
  { rootMargin: "600px" },
);
for (const plot of plots) {
  plot.style.minHeight = figures[plot.dataset.key].light.layout.height + "px";
  near.observe(plot);
}
button.hidden = false;
button.addEventListener("click", () => { theme = theme === "dark" ? "light" : "dark"; apply(); });
preferred.addEventListener("change", (event) => { theme = event.matches ? "dark" : "light"; apply(); });
window.addEventListener("beforeprint", () => { printing = true; plots.forEach(draw); });
window.addEventListener("afterprint", () => { printing = false; plots.forEach(draw); });
apply();
