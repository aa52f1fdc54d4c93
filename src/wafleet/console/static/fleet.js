// The accounts this page knows, what the address bar asks to see of them, and in which order.

export const words = JSON.parse(document.getElementById("words").textContent);
export const accounts = new Map();
const text = new Map(); // id -> what a search looks through

let ahead = 0; // the server's clock minus ours

export const now = () => Date.now() + ahead;

export function look(state) {
  return words.states[state] ?? { label: state, tone: "warn", rank: 3, attention: true, action: "" };
}

export const FACETS = [
  { key: "state", title: "State" },
  { key: "tenant", title: "Tenant" },
  { key: "role", title: "Role" },
  { key: "transport", title: "Transport" },
];

export function replaceAll({ now: theirs, accounts: all }) {
  const here = new Set(all.map((account) => account.id));
  return merge({ now: theirs, changed: all, gone: [...accounts.keys()].filter((id) => !here.has(id)) });
}

// Takes in what changed; returns the moves between states and what must be drawn again.
export function merge({ now: theirs, changed, gone }) {
  ahead = theirs - Date.now();
  const moves = [];
  for (const id of gone) { accounts.delete(id); text.delete(id); }
  for (const part of changed) {
    const before = accounts.get(part.id);
    const after = { ...before, ...part };
    accounts.set(part.id, after);
    if (!before || "name" in part || "state" in part || "sentence" in part || "role" in part) text.set(part.id, searchable(after));
    if (before && before.state !== after.state) moves.push({ account: after, from: before.state });
  }
  return { moves, ids: changed.map((part) => part.id) };
}

const fold = (words) => words.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase()
  .replace(/[\u0660-\u0669\u06f0-\u06f9]/g, (digit) => String(digit.charCodeAt(0) & 15));

function searchable(a) {
  return fold([a.name, a.phone, a.shown, a.role, a.tenant, words.transports[a.transport] ?? a.transport, look(a.state).label, a.sentence].join("\n"));
}

// What is asked for, kept in the address bar so that it can be shared.
export const asked = read();

function read() {
  const query = new URLSearchParams(location.search);
  const picked = (key) => new Set((query.get(key) ?? "").split(",").filter(Boolean).map(decodeURIComponent));
  return {
    q: query.get("q") ?? "",
    sort: query.get("sort") ?? "worst",
    view: query.get("view") ?? remembered("view"),
    ...Object.fromEntries(FACETS.map(({ key }) => [key, picked(key)])),
  };
}

export function remembered(key) {
  try { return localStorage.getItem(`wafleet.${key}`) ?? ""; } catch { return ""; }
}

export function remember(key, value) {
  try { localStorage.setItem(`wafleet.${key}`, value); } catch { /* a browser that keeps nothing still works */ }
}

export function write() {
  const query = new URLSearchParams();
  if (asked.q.trim()) query.set("q", asked.q.trim());
  for (const { key } of FACETS) if (asked[key].size) query.set(key, [...asked[key]].map((value) => value.replaceAll(",", "%2C")).join(","));
  if (asked.sort !== "worst") query.set("sort", asked.sort);
  if (asked.view && asked.view !== remembered("view")) query.set("view", asked.view);
  const search = query.toString();
  history.replaceState(null, "", search ? `?${search}` : location.pathname);
}

export function toggle(key, value) {
  if (!asked[key].delete(value)) asked[key].add(value);
}

export function clear() {
  asked.q = "";
  for (const { key } of FACETS) asked[key].clear();
}

const tests = {
  state: (a) => asked.state.has(a.state) || (asked.state.has("attention") && look(a.state).attention),
  tenant: (a) => asked.tenant.has(a.tenant),
  role: (a) => asked.role.has(a.role),
  transport: (a) => asked.transport.has(a.transport),
};

// Everything that passes; `but` leaves one facet out, so that its own counts say what choosing it would show.
export function found(but = "") {
  const parts = fold(asked.q).split(/\s+/).filter(Boolean);
  const digits = fold(asked.q).replace(/[^0-9]/g, "");
  const number = /^[+0-9\s().-]+$/.test(fold(asked.q).trim()) && digits.length > 2 ? digits : "";
  const active = FACETS.filter(({ key }) => key !== but && asked[key].size);
  const result = [];
  for (const account of accounts.values()) {
    if (!active.every(({ key }) => tests[key](account))) continue;
    const about = text.get(account.id);
    if (number ? account.phone.includes(number) : parts.every((part) => about.includes(part))) result.push(account);
  }
  return result;
}

const names = new Intl.Collator(document.documentElement.lang, { numeric: true, sensitivity: "base" });
const byName = (a, b) => names.compare(a.name, b.name);
const ORDERS = {
  worst: (a, b) => look(a.state).rank - look(b.state).rank || byName(a, b),
  name: byName,
  waiting: (a, b) => b.waiting - a.waiting || byName(a, b),
  busy: (a, b) => b.sent + b.received - a.sent - a.received || byName(a, b),
  recent: (a, b) => (b.active ?? 0) - (a.active ?? 0) || byName(a, b),
};

export const sorted = (list) => list.sort(ORDERS[asked.sort] ?? ORDERS.worst);
