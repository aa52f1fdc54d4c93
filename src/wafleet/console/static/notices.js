// News in the corner: one line each, several of a kind as one, gone by themselves unless somebody reads them.
import { icon } from "./glance.js";
import { look } from "./fleet.js";
import { count } from "./cards.js";

const place = document.getElementById("notices");
const STAY_MS = 7_000, MOST = 4, GATHER_MS = 1_200;

export function notice(tone, text) {
  const box = Object.assign(document.createElement("div"), { className: `notice tone-${tone}` });
  const close = Object.assign(document.createElement("button"), { type: "button", className: "icon-button" });
  close.dataset.dismiss = "";
  close.setAttribute("aria-label", "Dismiss");
  close.append(icon("close"));
  box.append(icon(tone === "good" ? "online" : tone === "bad" ? "offline" : "degraded"), Object.assign(document.createElement("p"), { textContent: text }), close);
  place.append(box);
}

// Every notice is watched, also those the server writes.
new MutationObserver((records) => {
  for (const { addedNodes } of records) for (const node of addedNodes) if (node.nodeType === 1) expire(node);
  while (place.children.length > MOST) place.firstElementChild.remove();
}).observe(place, { childList: true });

function expire(node) {
  const timer = setInterval(() => {
    if (node.matches(":hover, :focus-within")) return;
    clearInterval(timer);
    node.remove();
  }, STAY_MS);
}

place.addEventListener("click", (event) => event.target.closest("[data-dismiss]")?.closest(".notice").remove());

const down = (state) => look(state).attention;
let gathered = new Map(), timer;

// Tells who went down and who came back; a fault of the whole fleet is one line, not hundreds.
export function tell(moves) {
  for (const { account, from } of moves) {
    const first = gathered.get(account.id)?.from ?? from;
    gathered.set(account.id, { account, from: first });
  }
  if (gathered.size) timer ??= setTimeout(flush, GATHER_MS);
}

function flush() {
  const groups = new Map();
  for (const { account, from } of gathered.values()) {
    const kind = down(account.state) && !down(from) ? account.state : account.state === "online" && from !== "online" ? "online" : "";
    if (kind) groups.set(kind, [...(groups.get(kind) ?? []), account]);
  }
  gathered = new Map();
  timer = undefined;
  for (const [state, who] of groups) notice(look(state).tone, sentence(state, who));
}

const ENDINGS = { online: "back online", offline: "went offline", logged_out: "logged out", blocked: "blocked", degraded: "degraded" };

function sentence(state, who) {
  const [first] = who;
  if (who.length > 1) return `${count(who.length)} numbers ${state === "online" ? "are" : state === "offline" ? "" : "are"} ${ENDINGS[state] ?? look(state).label}`.replace(/ +/g, " ");
  const isolated = `\u2068${first.name}\u2069`;
  if (state === "online") return `${isolated} is back online`;
  return `${isolated} ${state === "offline" ? "went offline" : `is ${(ENDINGS[state] ?? look(state).label)}`}. ${first.sentence}`;
}
