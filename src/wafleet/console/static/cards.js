// Draws accounts. An element is made once per account; afterwards only what differs is written.
import { look, now, words } from "./fleet.js";

const elements = new Map(); // id -> { element, parts, account }
const template = document.getElementById("account").content.firstElementChild;
const list = document.getElementById("accounts");
const numbers = new Intl.NumberFormat(document.documentElement.lang);
const relative = new Intl.RelativeTimeFormat(document.documentElement.lang, { style: "narrow", numeric: "auto" });
const exact = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium" });

const ACTIONS = { link: "Link", show: "Show code", reconnect: "Reconnect", enable: "Enable", setup: "Set up" };
const KEYS = new Set(["credentials", "credentials_missing"]); // reasons that end once a person enters credentials
const PARTS = { badge: ".badge .label", since: ".badge .since", icon: ".badge use", name: ".name bdi", phone: ".phone bdi", role: ".role bdi", roleBox: ".role", tenant: ".tenant bdi", transport: ".transport", spark: ".spark", bars: ".spark-bars", waiting: ".waiting dd", waitingBox: ".waiting", sent: ".sent dd", received: ".received dd", active: ".active", why: ".why", sentence: ".sentence", next: ".next", act: "[data-act]", more: "[data-menu]" };

export const count = (n) => numbers.format(n);

export function ago(moment) {
  const seconds = Math.max(0, Math.round((now() - moment) / 1000));
  if (seconds < 3) return "now";
  for (const [unit, size, until] of [["second", 1, 60], ["minute", 60, 60], ["hour", 3600, 36], ["day", 86400, Infinity]]) {
    const n = Math.floor(seconds / size);
    if (n < until) return relative.format(-n, unit);
  }
}

// How long something has been so, in its largest unit.
function lasting(since) {
  const seconds = Math.max(0, Math.round((now() - since) / 1000));
  const [unit, size] = seconds < 60 ? ["second", 1] : seconds < 3600 ? ["minute", 60] : seconds < 172_800 ? ["hour", 3600] : ["day", 86_400];
  return Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit, unitDisplay: "narrow" }).format(Math.floor(seconds / size));
}

// Which button helps: none where a person can do nothing here.
export function remedy(account) {
  if (words.control && KEYS.has(account.reason) && words.called.includes(account.transport)) return "setup";
  if (!words.control || words.unaided.includes(account.reason)) return "";
  const action = look(account.state).action;
  if ((action === "link" || action === "show") && !account.linkable) return action === "link" ? "reconnect" : "";
  return action;
}

export function draw(account) {
  let held = elements.get(account.id);
  if (!held) {
    const element = template.cloneNode(true);
    element.id = `account-${account.id}`;
    element.dataset.id = account.id;
    held = { element, parts: Object.fromEntries(Object.entries(PARTS).map(([key, css]) => [key, element.querySelector(css)])), account: {} };
    elements.set(account.id, held);
  }
  const before = held.account;
  held.account = account;
  fill(held, account, before);
  return held.element;
}

function fill({ element, parts }, a, before) {
  const differs = (...keys) => keys.some((key) => a[key] !== before[key]);
  if (differs("name")) { write(parts.name, a.name); parts.more.setAttribute("aria-label", `Actions for ${a.name}`); }
  if (differs("shown")) write(parts.phone, a.shown);
  if (differs("role")) { write(parts.role, a.role); parts.roleBox.classList.toggle("is-empty", !a.role); }
  if (differs("tenant")) write(parts.tenant, a.tenant);
  if (differs("transport")) write(parts.transport, words.transports[a.transport] ?? a.transport);
  if (differs("waiting")) { write(parts.waiting, count(a.waiting)); parts.waitingBox.classList.toggle("is-long", a.waiting >= 50); }
  if (differs("sent")) write(parts.sent, count(a.sent));
  if (differs("received")) write(parts.received, count(a.received));
  if (differs("spark")) bars(parts, a.spark);
  if (differs("state", "sentence", "next_step", "soon", "linkable", "reason", "name")) mood(element, parts, a, before);
  if (differs("active", "since", "state")) tick(parts, a);
}

function mood(element, parts, a, before) {
  const { label, tone, attention } = look(a.state);
  element.className = `account tone-${tone}`;
  element.dataset.state = a.state;
  element.classList.toggle("needs-attention", attention);
  element.classList.toggle("is-busy", tone === "busy" && a.state !== "linking");
  element.classList.toggle("has-news", Boolean(before.state) && before.state !== a.state);
  element.setAttribute("aria-label", `${a.name}, ${label}`);
  write(parts.badge, label);
  parts.icon.setAttribute("href", `#i-${a.state in words.states ? a.state : "degraded"}`);
  parts.why.hidden = !a.sentence;
  parts.why.classList.toggle("tone-warn", a.soon);
  write(parts.sentence, a.sentence);
  parts.sentence.title = a.next_step ? `${a.sentence} ${a.next_step}` : a.sentence;
  write(parts.next, a.next_step);
  const action = remedy(a);
  parts.act.hidden = !action;
  parts.act.dataset.act = action;
  write(parts.act, ACTIONS[action] ?? "");
  parts.act.setAttribute("aria-label", `${ACTIONS[action] ?? ""} ${a.name}`);
}

function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function tick(parts, a) {
  write(parts.active, a.active ? ago(a.active) : "no traffic");
  parts.active.title = a.active ? `Last message ${exact.format(a.active)}` : "";
  write(parts.since, a.state === "online" ? "" : lasting(a.since));
}

function bars(parts, spark) {
  const top = Math.max(6, ...spark), step = 96 / Math.max(1, spark.length);
  const path = spark.map((n, i) => (n ? `M${(i * step + 0.4).toFixed(1)} 23.5h${(step - 0.8).toFixed(1)}v${(-Math.max(1.5, (n / top) * 23)).toFixed(1)}h${(0.8 - step).toFixed(1)}z` : "")).join("");
  parts.bars.setAttribute("d", path);
  parts.spark.setAttribute("aria-label", `${count(spark.reduce((sum, n) => sum + n, 0))} messages in the last 2 hours`);
}

// Puts the list into this order, moving as few elements as it can, so that nothing flickers and focus stays.
export function arrange(order) {
  const focused = document.activeElement;
  let at = list.firstElementChild;
  for (const account of order) {
    const element = draw(account);
    if (at && at !== element && at.nextElementSibling === element) {
      const moved = at;
      at = element;
      moved.remove();
    }
    if (at === element) at = at.nextElementSibling;
    else list.insertBefore(element, at);
  }
  while (at) {
    const left = at;
    at = at.nextElementSibling;
    left.remove();
  }
  if (focused !== document.activeElement && list.contains(focused)) focused.focus({ preventScroll: true });
}

export function forget(known) {
  for (const id of elements.keys()) if (!known.has(id)) elements.delete(id);
}

setInterval(() => {
  for (const { parts, account, element } of elements.values()) if (element.isConnected) tick(parts, account);
}, 1000);
