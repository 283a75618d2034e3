// Everything here is an addition: without it, the forms and links do the same.
"use strict";

const announce = (text) => { document.getElementById("announcement").textContent = text; };

// Light and dark.
const themeButton = document.getElementById("theme");
const systemDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (systemDark.matches ? "dark" : "light")) === "dark";
const showTheme = () => {
  themeButton.textContent = isDark() ? "Light" : "Dark";
  themeButton.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
  document.dispatchEvent(new Event("themechange"));
};
themeButton.hidden = false;
themeButton.addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem("theme", theme); } catch { /* not remembered then */ }
  showTheme();
});
systemDark.addEventListener("change", showTheme);
showTheme();

// Search as you type: the server draws the list, this puts it in place.
const filters = document.getElementById("filters");
const results = document.getElementById("results");
if (filters && results) {
  let running = null;
  let timer = 0;
  const show = async (address, remember) => {
    running?.abort();
    running = new AbortController();
    results.setAttribute("aria-busy", "true");
    try {
      const response = await fetch(address, { headers: { "X-Linnet-Part": "results" }, signal: running.signal });
      const text = await response.text();
      if (response.headers.get("X-Linnet-Part") !== "results") throw new Error("no list");
      results.innerHTML = text;
      if (remember) history.replaceState(null, "", address);
      announce(results.querySelector(".count")?.textContent ?? "");
    } catch (error) {
      if (error.name === "AbortError") return;
      announce("The search did not answer.");
    }
    results.removeAttribute("aria-busy");
  };
  const update = () => {
    const fields = [...new FormData(filters)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(fields).toString();
    show(query ? `/?${query}` : "/", true);
  };
  filters.addEventListener("input", (event) => {
    clearTimeout(timer);
    timer = setTimeout(update, event.target.tagName === "SELECT" ? 0 : 150);
  });
  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    clearTimeout(timer);
    update();
  });
}

// Progress of running experiments.
for (const box of document.querySelectorAll("[data-running]")) {
  const part = (name) => box.querySelector(`[data-part="${name}"]`);
  const source = new EventSource(`/jobs/${box.dataset.job}/events`);
  source.addEventListener("state", (event) => {
    const state = JSON.parse(event.data);
    part("state").textContent = state.label;
    part("state").className = `badge ${state.tone}`;
    part("line").textContent = state.line;
    const bar = part("bar");
    if (bar) { bar.max = state.seeds; bar.value = state.done; }
    if (state.isRunning) return;
    source.close();
    box.querySelector("form")?.remove();
    bar?.remove();
    // The new run's table and plots are in the page that the server draws now.
    if (state.hasReport) location.reload();
  });
}
