// Keeps a film's page live. The server renders every state; this follows the events, moves the bars, and fetches the
// page again when a state changes, replacing only the parts that differ.

const film = document.querySelector("#film[data-live]");
if (film) follow(film);

function follow(film) {
  const page = location.pathname;
  const rendered = new Map(parts(document).map((part) => [part.dataset.part, part.outerHTML]));
  const fractions = new Map(); // cell → the last progress told
  let timer = 0, busy = false, again = false, source = null, polling = 0;

  listen();
  addEventListener("pagehide", () => source?.close());

  function listen() {
    source = new EventSource(`/api/films/${film.dataset.film}/events`);
    source.onmessage = (message) => told(JSON.parse(message.data));
    // A browser reconnects by itself, except when it was refused (too many followers, session over): then ask now and then.
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED && !polling) polling = setInterval(refresh, 5000);
    };
  }

  function told(event) {
    if (event.stage === "film" && event.state === "deleted") return location.assign("/");
    const key = `${event.shot}/${event.stage}`;
    if (event.state === "running" && event.progress !== undefined) fractions.set(key, event.progress);
    else if (event.state !== "running") fractions.delete(key);
    const cell = film.querySelector(`[data-cell="${CSS.escape(key)}"]`);
    if (cell?.classList.contains(event.state)) return fill(cell);
    timer ||= setTimeout(() => { timer = 0; refresh(); }, 400); // one page for a burst of changes
  }

  function fill(cell) {
    const bar = cell.querySelector("progress"), fraction = fractions.get(cell.dataset.cell);
    if (!bar || fraction === undefined) return;
    bar.value = fraction;
    cell.querySelector(".took").firstChild.data = `${Math.round(fraction * 100)} %`;
  }

  async function refresh() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(page, { headers: { Accept: "text/html" } });
      if (answer.redirected) return location.reload(); // the session is over: to the login
      if (answer.status === 404) return location.assign("/");
      if (!answer.ok) throw new Error(answer.status);
      show(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      again = true; // the studio is away for a moment; the next try finds it
      await new Promise((resolve) => setTimeout(resolve, 2000));
    } finally {
      busy = false;
      if (again) { again = false; refresh(); }
    }
  }

  function show(fresh) {
    // Parts come (the storyboard, with the plan) but never go while a film is made.
    const known = parts(document).map((part) => part.dataset.part).join();
    const wanted = parts(fresh).map((part) => part.dataset.part).join();
    if (known !== wanted) {
      film.replaceChildren(...fresh.querySelector("#film").childNodes);
      parts(document).forEach((part) => rendered.set(part.dataset.part, part.outerHTML));
    } else {
      for (const part of parts(fresh)) {
        const name = part.dataset.part;
        if (rendered.get(name) === part.outerHTML) continue;
        rendered.set(name, part.outerHTML);
        film.querySelector(`[data-part="${CSS.escape(name)}"]`).replaceWith(part);
      }
    }
    document.title = fresh.title;
    film.querySelectorAll("[data-cell]").forEach(fill);
    if (!fresh.querySelector("#film[data-live]")) {
      source.close();
      clearInterval(polling);
    }
  }
}

function parts(root) {
  return [...root.querySelectorAll("#film [data-part]")];
}

document.addEventListener("submit", (event) => {
  const question = event.target.dataset.confirm;
  if (question && !confirm(question)) event.preventDefault();
});

// A key made with the page: a double click, or Back and send again, makes one film.
const key = document.querySelector("[data-fresh-key]");
const brief = document.querySelector("#brief");
if (key && brief) {
  const renew = () => { key.value = [...crypto.getRandomValues(new Uint8Array(16))].map((b) => b.toString(16).padStart(2, "0")).join(""); };
  renew();
  document.querySelector("#brief-form").addEventListener("input", renew);
  const example = document.querySelector("[data-example]");
  example.hidden = false;
  example.addEventListener("click", () => {
    brief.value = example.dataset.example;
    brief.dispatchEvent(new Event("input", { bubbles: true }));
    brief.focus();
  });
}
