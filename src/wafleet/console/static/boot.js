// Runs before the first paint, so that a remembered theme does not flash.
const remembered = (() => {
  try { return localStorage.getItem("wafleet.theme"); } catch { return null; }
})();
if (remembered === "light" || remembered === "dark") document.documentElement.dataset.theme = remembered;
