// One line to the server: opens it, notices when it is dead, opens it again, and says so.
//
// `seen` marks what the page shows already; hear = { full(data), patch(data) }. The newest event's id travels with every new attempt, so that the server
// knows whether this page still has everything.

const SILENT_MS = 25_000; // the server beats every 10 s
const PATIENCE_MS = 2_000; // a line that comes back sooner was never worth mentioning
const LONGEST_MS = 15_000;

const WORDS = { live: "Live", reconnecting: "Reconnecting", offline: "Offline", stale: "Data delayed", opening: "Connecting" };

export function follow(url, seen, hear, show = indicate) {
  let source, failures = 0, lastHeard = Date.now(), doubt, again;

  const open = () => {
    clearTimeout(again);
    source?.close();
    lastHeard = Date.now();
    source = new EventSource(seen ? `${url}?seen=${encodeURIComponent(seen)}` : url);
    const on = (kind, act) => source.addEventListener(kind, (event) => {
      lastHeard = Date.now();
      failures = 0;
      if (event.lastEventId) seen = event.lastEventId;
      act?.(event);
      well(kind !== "stale");
    });
    on("full", (event) => hear.full(JSON.parse(event.data)));
    on("patch", (event) => hear.patch(JSON.parse(event.data)));
    on("beat");
    on("stale");
    source.onerror = broken;
  };

  const well = (fresh) => {
    clearTimeout(doubt);
    doubt = undefined;
    show(fresh ? "live" : "stale");
  };

  const broken = () => {
    source.close();
    failures += 1;
    doubt ??= setTimeout(() => show(navigator.onLine && failures < 6 ? "reconnecting" : "offline"), PATIENCE_MS);
    if (failures >= 6) show("offline");
    clearTimeout(again);
    again = setTimeout(retry, failures === 1 ? 250 : Math.min(LONGEST_MS, 500 * 2 ** failures) * (0.5 + Math.random() / 2));
  };

  // A sign-in that ended looks like a broken line to an EventSource: ask before trying for ever.
  const retry = async () => {
    const answer = await fetch("/console/signed-in", { headers: { accept: "application/json" } }).catch(() => null);
    if (answer?.status === 401) location.assign(`/sign-in?next=${encodeURIComponent(location.pathname + location.search)}`);
    else if (answer?.ok) open();
    else broken();
  };

  setInterval(() => { if (Date.now() - lastHeard > SILENT_MS && source.readyState !== EventSource.CLOSED) broken(); }, 5_000);
  addEventListener("online", retry);
  addEventListener("offline", () => show("offline"));
  addEventListener("pagehide", () => source.close());
  addEventListener("pageshow", (event) => { if (event.persisted) open(); });
  open();
}

function indicate(state) {
  const line = document.getElementById("line");
  if (line.dataset.line === state) return;
  line.dataset.line = state;
  document.getElementById("line-word").textContent = WORDS[state];
}
