// Runs before the page is drawn, so that a remembered theme does not flash.
"use strict";
(() => {
  let theme = null;
  try { theme = localStorage.getItem("theme"); } catch { /* storage may be forbidden: the system's theme stands */ }
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
})();
