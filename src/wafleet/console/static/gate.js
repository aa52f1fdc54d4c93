// The sign-in page: shows the password when asked, counts down a wait, and sends once.
const $ = (id) => document.getElementById(id);

$("reveal").addEventListener("click", () => {
  const shown = $("password").type === "text";
  $("password").type = shown ? "password" : "text";
  $("reveal").textContent = shown ? "Show" : "Hide";
  $("reveal").setAttribute("aria-pressed", String(!shown));
});

$("gate").addEventListener("submit", () => setTimeout(() => { $("go").disabled = true; }));
addEventListener("pageshow", (event) => { if (event.persisted) $("go").disabled = false; });

const wait = $("wait");
if (wait) {
  const until = Date.now() + Number(wait.dataset.seconds) * 1000;
  const timer = setInterval(() => {
    const left = Math.ceil((until - Date.now()) / 1000);
    wait.textContent = String(Math.max(0, left));
    if (left > 0) return;
    clearInterval(timer);
    $("go").disabled = false;
    $("trouble").remove();
  }, 250);
}
