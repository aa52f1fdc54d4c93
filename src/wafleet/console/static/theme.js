// Light or dark: the system's choice until somebody chooses otherwise.
const dark = matchMedia("(prefers-color-scheme: dark)");

export function switchTheme() {
  const root = document.documentElement;
  const shown = root.dataset.theme ?? (dark.matches ? "dark" : "light");
  const next = shown === "dark" ? "light" : "dark";
  const isSystem = next === (dark.matches ? "dark" : "light");
  if (isSystem) delete root.dataset.theme;
  else root.dataset.theme = next;
  try {
    if (isSystem) localStorage.removeItem("wafleet.theme");
    else localStorage.setItem("wafleet.theme", next);
  } catch { /* not remembered, but switched */ }
}
