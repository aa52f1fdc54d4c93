// Reads what people have at hand - JSON, .env files, rows of a sheet - and fills a form with it, in the browser alone.

const plain = (name) => name.toLowerCase().replace(/[^a-z0-9]/g, "");
const MAKERS = /^(twilio|whatsapp|meta|facebook|waha|gateway|wafleet)+/;
const NOTHING = new Set(["", "null", "none", "undefined", "***"]);
const STOPPED = new Set(["inactive", "disabled", "stopped", "suspended", "paused", "offline", "false", "no", "0"]);

// Returns [name, value] for everything a text names; the first of several records.
export function pairs(text) {
  try {
    return flat(JSON.parse(text));
  } catch {
    return text.split(/\r?\n/).flatMap(line);
  }
}

function flat(value) {
  if (Array.isArray(value)) return value.length ? flat(value[0]) : [];
  if (value === null || typeof value !== "object") return [];
  return Object.entries(value).flatMap(([name, inner]) => (inner !== null && typeof inner === "object" ? flat(inner) : [[name, String(inner ?? "")]]));
}

function line(text) {
  const found = text.match(/^\s*(?:export\s+|set\s+)?["']?([^=:\t"'#]+?)["']?\s*[=:\t]\s*(.*?)\s*[,;]?\s*$/);
  return found ? [[found[1], found[2].replace(/^(["'])(.*)\1$/, "$2")]] : [];
}

// Fills every field that has a name for a value; returns the fields, and the names that none of them knows.
export function fill(form, given) {
  const values = new Map(given.filter(([, value]) => !NOTHING.has(value.trim().toLowerCase())).map(([name, value]) => [name, value.trim()]));
  const used = new Set(), known = [];
  for (const field of form.querySelectorAll(".field input[data-also]")) {
    const name = [field.name, ...field.dataset.also.split(" ")].map((alias) => find(values, alias)).find(Boolean);
    if (!name) continue;
    field.value = values.get(name).slice(0, field.maxLength);
    used.add(name);
    known.push(field);
  }
  for (const name of [...status(form, values), ...owner(form, values)]) used.add(name);
  return { known, unknown: [...values.keys()].filter((name) => !used.has(name)) };
}

function find(values, alias) {
  const wanted = plain(alias), names = [...values.keys()].filter((name) => name);
  return alias && (names.find((name) => plain(name) === wanted) ?? names.find((name) => plain(name).replace(MAKERS, "") === wanted));
}

function status(form, values) {
  const name = find(values, "status"), tick = form.querySelector("[name=enabled]");
  if (name && tick) tick.checked = !STOPPED.has(values.get(name).toLowerCase());
  return name && tick ? [name] : [];
}

function owner(form, values) {
  const list = form.querySelector("select[name=tenant]");
  const named = [find(values, "tenant"), find(values, "restaurantName")].filter(Boolean);
  const name = named.find((one) => [...(list?.options ?? [])].some((option) => option.value && option.value === values.get(one)));
  if (name) list.value = values.get(name);
  return name ? [name] : [];
}
