// What can be done to an account: the menu and the link dialog.
import { confirmThen } from "./asking.js";
import { openDesk } from "./desk.js";
import { accounts, now, words } from "./fleet.js";
import { icon } from "./glance.js";
import { notice } from "./notices.js";
import { remedy } from "./cards.js";

const $ = (id) => document.getElementById(id);
const menu = $("account-menu"), linking = $("link-dialog"), body = $("link-body");
let opener;

const post = (id, action) => htmx.ajax("POST", `/console/accounts/${id}/${action}`, { source: $("notices"), target: "#notices", swap: "beforeend" });

export function act(action, id) {
  const account = accounts.get(id);
  if (!account) return;
  if (action === "link") openLink(id, "POST");
  else if (action === "show") openLink(id, "GET");
  else if (action === "disable") confirmThen(`Disable ${account.name}?`, "It disconnects and stays stopped until it is enabled again. What waits to be sent keeps waiting; nothing is lost.", "Disable", () => post(id, "disable"));
  else if (action === "setup" || action === "move") openDesk(`/console/accounts/${id}/${action}`);
  else if (action === "reconnect" || action === "enable") post(id, action);
  else if (action === "phone") copy(account.phone, "Number copied");
  else if (action === "id") copy(account.id, "Id copied");
}

document.body.addEventListener("link-phone", (event) => openLink(event.detail.id, "POST"));

function openLink(id, verb) {
  body.replaceChildren();
  linking.showModal();
  htmx.ajax(verb, `/console/accounts/${id}/link`, { source: body, target: "#link-body", swap: "innerHTML" });
}

linking.addEventListener("close", () => body.replaceChildren());
linking.addEventListener("click", (event) => { if (event.target === linking || event.target.closest("[data-close]")) linking.close(); });

// The countdown lives here, so that the server need not be asked for it.
setInterval(() => {
  const box = body.querySelector("[data-until]");
  if (!box) return;
  const left = Math.max(0, Number(box.dataset.until) - now());
  box.dataset.whole ??= String(Math.max(left, 1));
  box.querySelector(".link-left").style.transform = `scaleX(${Math.min(1, left / Number(box.dataset.whole))})`;
  const words = left ? `A new code in ${Math.ceil(left / 1000)} s` : "Fetching a new code";
  const seconds = box.querySelector(".link-seconds");
  if (seconds.textContent !== words) seconds.textContent = words;
}, 200);
setInterval(() => {
  const end = body.querySelector("[data-deadline]");
  if (!end) return;
  const left = Math.max(0, Math.ceil((Number(end.dataset.deadline) - now()) / 1000));
  const words = `${Math.floor(left / 60)}:${String(left % 60).padStart(2, "0")} left to link`;
  if (end.textContent !== words) end.textContent = words;
}, 200);

async function copy(text, done) {
  try { await navigator.clipboard.writeText(text); notice("good", done); } catch { notice("warn", text); }
}

// The menu
function items(account) {
  const on = account.state !== "disabled", choices = [];
  if (words.control) {
    if (account.state === "linking") choices.push(["show", "Show code", "linking"]);
    else if (account.linkable && on) choices.push(["link", ["new", "logged_out"].includes(account.state) ? "Link" : "Link again", "linking"]);
    if (on && !["new", "linking", "logged_out"].includes(account.state)) choices.push(["reconnect", "Reconnect", "recovering"]);
    if (words.called.includes(account.transport)) choices.push(["setup", "Webhook and test", "hook"]);
    if (words.admin && words.several) choices.push(["move", "Move to another transport", "move"]);
    choices.push(on ? ["disable", "Disable", "disabled"] : ["enable", "Enable", "online"]);
  }
  return choices;
}

function item([action, text, drawing], id) {
  const button = Object.assign(document.createElement("button"), { type: "button" });
  button.setAttribute("role", "menuitem");
  button.dataset.do = action;
  button.dataset.id = id;
  button.tabIndex = -1;
  if (action === "disable") button.className = "is-danger";
  button.append(icon(drawing), text);
  return button;
}

export function openMenu(button) {
  const id = button.closest("[data-id]").dataset.id, account = accounts.get(id);
  if (menu.matches(":popover-open") && opener === button) return menu.hidePopover();
  menu.hidePopover();
  opener = button;
  const choices = items(account).map((choice) => item(choice, id));
  if (choices.length) choices.push(document.createElement("hr"));
  menu.replaceChildren(...choices, item(["phone", "Copy number", "copy"], id), item(["id", "Copy id", "copy"], id));
  menu.setAttribute("aria-label", account.name);
  menu.showPopover();
  place(button.getBoundingClientRect());
  button.setAttribute("aria-expanded", "true");
  menu.querySelector("button").focus();
}

function place(at) {
  const own = menu.getBoundingClientRect(), mirrored = document.documentElement.dir === "rtl";
  const left = mirrored ? at.left : at.right - own.width;
  const below = at.bottom + 4 + own.height < innerHeight;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - own.width - 8))}px`;
  menu.style.top = `${below ? at.bottom + 4 : Math.max(8, at.top - own.height - 4)}px`;
}

menu.addEventListener("toggle", (event) => {
  if (event.newState === "open") return;
  opener?.setAttribute("aria-expanded", "false");
  if (menu.contains(document.activeElement) || document.activeElement === document.body) opener?.focus({ preventScroll: true });
});

menu.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (!button) return;
  menu.hidePopover();
  act(button.dataset.do, button.dataset.id);
});

menu.addEventListener("keydown", (event) => {
  const all = [...menu.querySelectorAll("button")], at = all.indexOf(document.activeElement);
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (event.key === "Tab") menu.hidePopover();
  if (to === undefined) return;
  event.preventDefault();
  all.at(to % all.length).focus();
});

export const menuOpen = () => menu.matches(":popover-open");
addEventListener("scroll", () => { if (menuOpen()) menu.hidePopover(); }, { passive: true });

document.getElementById("accounts").addEventListener("click", (event) => {
  const more = event.target.closest("[data-menu]"), remedyButton = event.target.closest("[data-act]");
  if (more) openMenu(more);
  else if (remedyButton) act(remedy(accounts.get(remedyButton.closest("[data-id]").dataset.id)), remedyButton.closest("[data-id]").dataset.id);
});
