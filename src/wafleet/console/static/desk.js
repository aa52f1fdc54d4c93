// The dialog in which a number is added, set up and moved: forms that are filled by pasting, and problems beside their fields.
import { ago } from "./cards.js";
import { confirmThen } from "./asking.js";
import { fill, pairs } from "./quickfill.js";

const $ = (id) => document.getElementById(id);
const desk = $("desk"), body = $("desk-body");
const NEEDED = "This is needed.", LASTS_MS = 2_000;

export function openDesk(url) {
  body.replaceChildren();
  desk.showModal();
  htmx.ajax("GET", url, { source: body, target: "#desk-body", swap: "innerHTML" });
}

// Closing throws away what was typed, so that a slip of the finger beside the dialog does not close it.
desk.addEventListener("close", () => body.replaceChildren());
desk.addEventListener("cancel", (event) => {
  if (![...body.querySelectorAll("form input:not([type=hidden], [type=checkbox]), textarea")].some((field) => field.value)) return;
  event.preventDefault();
  confirmThen("Leave this form?", "What you filled in is not kept.", "Leave it", () => desk.close());
});

desk.addEventListener("click", (event) => {
  const on = (name) => event.target.closest(`[data-${name}]`);
  if (on("close")) desk.close();
  else if (on("copy")) copy(on("copy"));
  else if (on("make-up")) makeUp($(on("make-up").dataset.makeUp));
  else if (on("link")) link(on("link").dataset.link);
});
document.addEventListener("click", (event) => { if (event.target.closest("[data-add]")) openDesk("/console/numbers/new"); });

function link(id) {
  desk.close();
  document.body.dispatchEvent(new CustomEvent("link-phone", { detail: { id } }));
}
document.body.addEventListener("link-phone", () => desk.close());

async function copy(button) {
  const word = button.querySelector("span"), text = $(button.dataset.copy);
  try { await navigator.clipboard.writeText(text.textContent); } catch { return getSelection().selectAllChildren(text); }
  word.textContent = "Copied";
  setTimeout(() => { word.textContent = "Copy"; }, LASTS_MS);
}

function makeUp(field) {
  const random = crypto.getRandomValues(new Uint8Array(20));
  field.value = [...random].map((byte) => byte.toString(36).padStart(2, "0")).join("").slice(0, 32);
  clear(field.closest(".field"));
  field.select();
}

// Filling by pasting
desk.addEventListener("input", (event) => {
  if (event.target.id === "quick-text") paste(event.target);
  else clear(event.target.closest(".field"));
});

function paste(from) {
  if (!from.value.trim()) return;
  const { known, unknown } = fill(from.form, pairs(from.value));
  if (!known.length) { $("quick-said").textContent = "Nothing here names a field of this form."; return; }
  from.value = "";
  from.closest("details").open = false;
  for (const field of known) clear(field.closest(".field"));
  const left = unknown.length ? ` Not used: ${unknown.join(", ")}.` : "";
  $("quick-said").textContent = `Filled in ${known.length} ${known.length === 1 ? "field" : "fields"}.${left}`;
  for (const field of known) if (field.closest("details.more")) field.closest("details.more").open = true;
  (empty(from.form)[0] ?? from.form.querySelector("[type=submit]")).focus({ preventScroll: true });
}

const empty = (form) => [...form.querySelectorAll("[aria-required]")].filter((field) => !field.value.trim());

// Problems
function clear(box) {
  if (!box) return;
  box.classList.remove("is-wrong");
  box.querySelector(".problem")?.replaceChildren();
  box.querySelector("[aria-invalid]")?.removeAttribute("aria-invalid");
}

function wrong(form, name, sentence) {
  const box = form.querySelector(`[data-field="${CSS.escape(name)}"]`);
  if (!box) return false;
  const field = box.querySelector("input, select");
  box.classList.add("is-wrong");
  box.querySelector(".problem").textContent = sentence;
  field.setAttribute("aria-invalid", "true");
  if (box.closest("details")) box.closest("details").open = true;
  return true;
}

function lookAtFirst(form) {
  const first = form.querySelector("[aria-invalid]");
  first?.focus({ preventScroll: true });
  first?.closest(".field").scrollIntoView({ block: "center" });
}

function lacking(form) {
  const missing = empty(form);
  for (const field of missing) wrong(form, field.name, NEEDED);
  lookAtFirst(form);
  return missing.length > 0;
}

// Before a form goes out: nothing needed may be empty, and what cannot be taken back is asked for.
body.addEventListener("htmx:confirm", (event) => {
  const form = event.target.closest("form");
  if (!form || event.detail.elt !== form) return;
  for (const box of form.querySelectorAll(".is-wrong")) clear(box);
  $("problems").replaceChildren();
  if (lacking(form)) return event.preventDefault();
  if (!event.detail.question) return;
  event.preventDefault();
  const { confirmTitle, confirmYes } = form.dataset;
  confirmThen(confirmTitle, event.detail.question, confirmYes, () => event.detail.issueRequest(true));
});

body.addEventListener("htmx:afterSwap", (event) => {
  times();
  if (event.target.id === "problems") {
    const form = event.target.closest("form");
    for (const one of event.target.querySelectorAll("[data-of]")) if (wrong(form, one.dataset.of, one.textContent.trim())) one.remove();
    lookAtFirst(form);
  } else if (event.target === body) {
    desk.scrollTop = 0;
    body.querySelector(".fields input, .way")?.focus();
  }
});

// A test that teaches nothing new is seen all the same.
body.addEventListener("htmx:afterRequest", (event) => {
  const button = event.target.closest?.("[data-test]");
  if (!button) return;
  button.textContent = "Tested";
  setTimeout(() => { button.textContent = "Test"; }, LASTS_MS);
});

function times() {
  for (const time of body.querySelectorAll("time[data-at]")) {
    const words = ago(Number(time.dataset.at));
    if (time.textContent !== words) time.textContent = words;
  }
}
setInterval(times, 1000);
