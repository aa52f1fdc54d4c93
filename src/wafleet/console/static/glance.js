// The fleet in one sentence, figures and bars; and the filters with what each would show.
import { FACETS, accounts, asked, found, look, words } from "./fleet.js";
import { count } from "./cards.js";

const $ = (id) => document.getElementById(id);
const set = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
const make = (tag, { text, ...rest } = {}, ...children) => {
  const element = Object.assign(document.createElement(tag), rest);
  if (text !== undefined) element.textContent = text;
  element.append(...children);
  return element;
};

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}

const iconOf = (state) => icon(state in words.states ? state : "degraded");

function sums() {
  const total = { all: accounts.size, attention: 0, waiting: 0, sent: 0, received: 0, states: {}, traffic: [] };
  for (const a of accounts.values()) {
    total.states[a.state] = (total.states[a.state] ?? 0) + 1;
    total.attention += look(a.state).attention ? 1 : 0;
    total.waiting += a.waiting;
    total.sent += a.sent;
    total.received += a.received;
    a.spark.forEach((n, i) => { total.traffic[i] = (total.traffic[i] ?? 0) + n; });
  }
  return total;
}

function headline({ all, attention, states }) {
  const online = states.online ?? 0;
  if (!all) return ["Your fleet is empty", ""];
  const numbers = all === 1 ? "number" : "numbers";
  if (attention) return [`${count(attention)} of ${count(all)} ${numbers} ${attention === 1 ? "needs" : "need"} attention`, ""];
  if (online === all) return [all === 1 ? "Your number is online" : `All ${count(all)} numbers are online`, ""];
  return [`${count(online)} of ${count(all)} ${numbers} online`, "Nothing needs you now."];
}

// A refused client is one fact of the fleet, however many numbers wait because of it.
function outdated() {
  const waiting = [...accounts.values()].filter((a) => a.reason === "outdated" && a.transport === "device").length;
  $("outdated").hidden = !waiting;
  if (waiting) set("outdated-text", `Update wafleet. ${count(waiting)} ${waiting === 1 ? "number waits" : "numbers wait"}; nothing is lost, and WhatsApp is tried again every 10 minutes.`);
}

export function glance() {
  const total = sums();
  const [head, sub] = headline(total);
  set("headline", head);
  set("subline", sub);
  document.title = `${total.attention ? `(${total.attention}) ` : ""}Overview · wafleet`;
  set("f-online", count(total.states.online ?? 0));
  set("f-total", `of ${count(total.all)}`);
  set("f-attention", count(total.attention));
  $("f-attention").disabled = !total.attention;
  $("f-attention-box").classList.toggle("is-alarming", total.attention > 0);
  for (const key of ["waiting", "sent", "received"]) set(`f-${key}`, count(total[key]));
  traffic(total.traffic);
  bar(total.states);
  outdated();
}

function traffic(points) {
  const top = Math.max(10, ...points), step = 240 / Math.max(1, points.length - 1);
  const line = points.map((n, i) => `${i ? "L" : "M"}${(i * step).toFixed(1)} ${(39 - (n / top) * 37).toFixed(1)}`).join("");
  document.querySelector(".traffic-line").setAttribute("d", line);
  document.querySelector(".traffic-area").setAttribute("d", line ? `${line}L240 40L0 40z` : "");
  $("traffic").setAttribute("aria-label", `${count(points.reduce((sum, n) => sum + n, 0))} messages in the last 2 hours`);
}

const bySeverity = (a, b) => look(b).rank - look(a).rank;
const segments = new Map();

function bar(states) {
  const shown = Object.keys(states).sort((a, b) => (a === "disabled") - (b === "disabled") || bySeverity(a, b));
  const key = shown.map((state) => `${state} ${states[state]}`).join();
  if ($("states-bar").dataset.key === key) return;
  $("states-bar").dataset.key = key;
  for (const [state, segment] of segments) if (!states[state]) { segment.remove(); segments.delete(state); }
  for (const state of shown) {
    const segment = segments.get(state) ?? make("span", { className: `tone-${look(state).tone}` });
    segment.classList.toggle("is-faint", state === "disabled" || state === "recovering" || state === "linking");
    segment.style.flexGrow = states[state];
    segments.set(state, segment);
    $("states-bar").append(segment);
  }
  $("states-bar").setAttribute("aria-label", shown.map((state) => `${states[state]} ${look(state).label}`).join(", "));
  $("states-key").replaceChildren(...shown.map((state) => make("li", { className: `tone-${look(state).tone}` }, iconOf(state), make("b", { text: count(states[state]) }), look(state).label)));
}

// Filters. Each is a list of buttons that stay where they are while their counts change.
function options(key) {
  const tally = new Map();
  for (const a of accounts.values()) if (a[key]) tally.set(a[key], 0);
  for (const picked of asked[key]) if (picked !== "attention") tally.set(picked, 0);
  for (const a of found(key)) if (a[key]) tally.set(a[key], tally.get(a[key]) + 1);
  const values = [...tally.keys()].sort(key === "state" ? (a, b) => look(a).rank - look(b).rank : (a, b) => a.localeCompare(b));
  return values.map((value) => ({ value, n: tally.get(value) }));
}

const label = (key, value) => (value === "attention" ? "Needs attention" : key === "state" ? look(value).label : key === "transport" ? words.transports[value] ?? value : value);

function button(key, value) {
  const own = make("button", { type: "button" }, make("bdi", { text: label(key, value) }), make("span", { className: "n" }));
  own.dataset.facet = key;
  own.dataset.value = value;
  if (key === "state") { own.prepend(value === "attention" ? icon("degraded") : iconOf(value)); own.classList.add(`tone-${value === "attention" ? "bad" : look(value).tone}`); }
  return make("li", {}, own);
}

export function facets() {
  const lists = $("facet-lists");
  for (const { key, title } of FACETS) {
    let section = lists.querySelector(`[data-key="${key}"]`);
    if (!section) {
      section = make("section", { className: "facet" }, make("h2", { text: title }), make("ul"));
      section.dataset.key = key;
      lists.append(section);
    }
    const shown = options(key);
    if (key === "state") shown.unshift({ value: "attention", n: found(key).filter((a) => look(a.state).attention).length });
    section.hidden = key !== "state" && shown.length < 2 && !asked[key].size;
    refresh(section.lastElementChild, key, shown);
  }
}

function refresh(ul, key, shown) {
  const values = JSON.stringify(shown.map(({ value }) => value));
  if (ul.dataset.values !== values) {
    const focused = document.activeElement?.dataset?.facet === key ? document.activeElement.dataset.value : null;
    ul.dataset.values = values;
    ul.replaceChildren(...shown.map(({ value }) => button(key, value)));
    if (focused !== null) [...ul.querySelectorAll("button")].find((b) => b.dataset.value === focused)?.focus();
  }
  shown.forEach(({ value, n }, i) => {
    const own = ul.children[i].firstElementChild;
    own.setAttribute("aria-pressed", String(asked[key].has(value)));
    own.classList.toggle("is-none", n === 0);
    const shownCount = count(n);
    if (own.lastElementChild.textContent !== shownCount) own.lastElementChild.textContent = shownCount;
  });
}

export function chips() {
  const picked = FACETS.flatMap(({ key }) => [...asked[key]].map((value) => ({ key, value })));
  $("chips").replaceChildren(...picked.map(({ key, value }) => {
    const chip = make("button", { type: "button", className: "chip" }, make("bdi", { text: label(key, value) }), icon("close"));
    chip.dataset.facet = key;
    chip.dataset.value = value;
    chip.setAttribute("aria-label", `Remove filter ${label(key, value)}`);
    return chip;
  }));
  $("filter-count").textContent = picked.length ? String(picked.length) : "";
}
