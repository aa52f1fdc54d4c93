// The Overview: joins the live line, the filters, the keyboard and the drawing.
import { accounts, asked, clear, found, merge, remember, replaceAll, sorted, toggle, words, write } from "./fleet.js";
import { arrange, count, draw, forget } from "./cards.js";
import { chips, facets, glance } from "./glance.js";
import { menuOpen, openMenu } from "./actions.js";
import { openDesk } from "./desk.js";
import { follow } from "./live.js";
import { switchTheme } from "./theme.js";
import { tell } from "./notices.js";

const $ = (id) => document.getElementById(id);
const list = $("accounts"), search = $("search");
const MANY = 60; // more than this is easier to read as a table
const CALM_MS = 2_500; // nothing moves under a pointer that is moving

let pointed = 0, owed;

function reorder() {
  clearTimeout(owed);
  owed = undefined;
  const shown = sorted(found());
  arrange(shown);
  $("no-accounts").hidden = accounts.size > 0;
  $("main").classList.toggle("is-empty", !accounts.size);
  $("no-match").hidden = !accounts.size || shown.length > 0;
  const text = shown.length === accounts.size ? `${count(accounts.size)} ${accounts.size === 1 ? "number" : "numbers"}` : `${count(shown.length)} of ${count(accounts.size)}`;
  if ($("found").textContent !== text) $("found").textContent = text;
  layout(shown.length);
}

// Order follows the news, but not while somebody is about to click.
function reorderSoon() {
  const wait = menuOpen() ? 500 : list.matches(":hover") ? CALM_MS - (Date.now() - pointed) : 0;
  if (wait <= 0) reorder();
  else owed ??= setTimeout(() => { owed = undefined; reorderSoon(); }, wait);
}

function layout(shown) {
  const view = asked.view || (accounts.size > MANY ? "table" : "cards");
  list.classList.toggle("as-cards", view === "cards");
  list.classList.toggle("as-table", view === "table");
  $("columns").classList.toggle("is-shown", view === "table" && shown > 0);
  for (const button of document.querySelectorAll("[data-view]")) button.setAttribute("aria-pressed", String(button.dataset.view === view));
}

function all() {
  write();
  chips();
  facets();
  reorder();
}

function setView(view) {
  asked.view = view;
  remember("view", view);
  all();
}

function take({ moves, ids }) {
  forget(accounts);
  for (const id of ids) if (accounts.has(id)) draw(accounts.get(id));
  glance();
  facets();
  reorderSoon();
  tell(moves);
}

function onlyAttention() {
  const only = asked.state.size === 1 && asked.state.has("attention");
  asked.state.clear();
  if (!only) asked.state.add("attention");
  all();
}

function step(by) {
  const rows = [...list.children], at = rows.indexOf(document.activeElement?.closest?.(".account"));
  const next = rows[at < 0 ? 0 : Math.max(0, Math.min(rows.length - 1, at + by))];
  next?.focus();
  next?.scrollIntoView({ block: "nearest" });
}

const keys = {
  "/": () => { search.focus(); search.select(); },
  "?": () => $("keys").showModal(),
  j: () => step(1),
  k: () => step(-1),
  t: () => setView(list.classList.contains("as-cards") ? "table" : "cards"),
  a: onlyAttention,
  d: switchTheme,
  ...(words.admin && { n: () => openDesk("/console/numbers/new") }),
};

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target.matches("input, select, textarea")) return;
  if (event.key === "Enter" && event.target.matches(".account")) {
    event.preventDefault(); // or the same key press would choose the menu's first entry
    return openMenu(event.target.querySelector("[data-menu]"));
  }
  if (!keys[event.key] || menuOpen()) return;
  event.preventDefault();
  keys[event.key]();
});

search.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  search.value = asked.q = "";
  search.blur();
  all();
});
search.addEventListener("input", () => { asked.q = search.value; all(); });
$("sort").addEventListener("change", (event) => { asked.sort = event.target.value; all(); });
$("clear").addEventListener("click", () => { clear(); search.value = ""; all(); });
$("f-attention").addEventListener("click", onlyAttention);
$("theme-button").addEventListener("click", switchTheme);
$("keys-button").addEventListener("click", keys["?"]);
list.addEventListener("pointermove", () => { pointed = Date.now(); }, { passive: true });
document.querySelector(".toggle").addEventListener("click", (event) => {
  const button = event.target.closest("[data-view]");
  if (button) setView(button.dataset.view);
});
for (const place of [$("facet-lists"), $("chips")]) place.addEventListener("click", (event) => {
  const button = event.target.closest("[data-facet]");
  if (!button) return;
  toggle(button.dataset.facet, button.dataset.value);
  all();
});

replaceAll(JSON.parse($("fleet").textContent));
search.value = asked.q;
$("sort").value = asked.sort;
glance();
chips();
facets();
reorder();
follow("/console/live", $("fleet").dataset.mark, { full: (data) => take(replaceAll(data)), patch: (data) => take(merge(data)) });
