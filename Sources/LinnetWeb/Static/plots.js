// Puts interactive plots over the drawings that are in the page already.
"use strict";

const plots = [];
const colours = () => {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  return { ink: value("--ink"), soft: value("--soft"), line: value("--line") };
};
const palette = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#6b6b6b", "#b8a500"];

const draw = (place, chart) => {
  const { ink, soft, line } = colours();
  const axis = (title) => ({ title: { text: title, font: { color: soft, size: 12 } }, gridcolor: line, zerolinecolor: line, linecolor: line, color: soft, automargin: true });
  const traces = chart.series.map((series, index) => ({
    type: "scatter", mode: series.x.length > 40 ? "lines" : "lines+markers", name: series.name, x: series.x, y: series.y,
    line: { color: palette[index % palette.length], width: 2 }, marker: { size: 5 },
  }));
  const layout = {
    height: 380, margin: { l: 60, r: 16, t: 12, b: 44 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: "system-ui, sans-serif", size: 12, color: ink }, xaxis: axis(chart.axis), yaxis: axis(chart.metric),
    hovermode: "closest", dragmode: "zoom", legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom" }, showlegend: true,
  };
  return Plotly.react(place, traces, layout, { displayModeBar: false, responsive: true, displaylogo: false });
};

for (const group of document.querySelectorAll("[data-plots]")) {
  fetch(group.dataset.plots).then((response) => response.json()).then((charts) => {
    group.querySelectorAll("figure").forEach((figure, index) => {
      const place = figure.querySelector(".plot");
      const drawing = place.firstElementChild;
      const label = drawing?.getAttribute("aria-label") ?? "";
      const live = document.createElement("div");
      live.setAttribute("role", "img");
      live.setAttribute("aria-label", `${label} (drag to zoom, double-click to reset)`);
      draw(live, charts[index]).then(() => {
        place.replaceChildren(live);
        place.dataset.interactive = "";
        Plotly.Plots.resize(live);
        plots.push([live, charts[index]]);
      });
    });
  }).catch(() => { /* the drawings stay */ });
}
document.addEventListener("themechange", () => plots.forEach(([place, chart]) => draw(place, chart)));
