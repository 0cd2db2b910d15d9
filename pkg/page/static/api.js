// What is asked of the daemon. The token comes behind the # of the address, which browsers do not send; from there it goes to a header.
const base = "/.tcpd/api/";
const place = "tcpd-token";

export function takeToken() {
  const hash = location.hash.slice(1);
  if (/^[0-9a-f]{32}$/.test(hash)) {
    setToken(hash);
    history.replaceState(null, "", location.pathname);
  }
}

export const token = () => sessionStorage.getItem(place);
export const setToken = (t) => (t ? sessionStorage.setItem(place, t) : sessionStorage.removeItem(place));

async function ask(path, options = {}) {
  const headers = {};
  if (token()) headers.Authorization = "Bearer " + token();
  const answer = await fetch(base + path, { ...options, headers, cache: "no-store" });
  if (!answer.ok) {
    const problem = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(problem.error || answer.statusText), { status: answer.status });
  }
  return answer;
}

export const get = async (path) => (await ask(path)).json();
export const post = async (path) => (await ask(path, { method: "POST" })).json();

// events calls each for each event of a stream, until stop is called; a stream that breaks is begun again. opened is kept when
// it has its connection, which no question uses any more.
export function events(query, each) {
  const control = new AbortController();
  let open;
  const opened = new Promise((done) => { open = done; });
  (async () => {
    while (!control.signal.aborted) {
      try {
        const answer = await ask("v1/events?" + query, { signal: control.signal });
        open();
        await read(answer, each);
      } catch {
        // The daemon has gone, or too many are looking: again below.
      }
      await new Promise((done) => setTimeout(done, 2000));
    }
  })();
  return { stop: () => control.abort(), opened };
}

async function read(answer, each) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const parts = text.split("\n\n");
    text = parts.pop();
    for (const part of parts) {
      const data = part.split("\n").find((line) => line.startsWith("data: "));
      if (data) each(JSON.parse(data.slice(6)));
    }
  }
}

const sentences = new Map();

// explain is the sentence for an event, or "". open tells the two kinds of SYN-RECEIVED apart.
export function explain(e, open) {
  const q = new URLSearchParams(
    e.kind === "transition" ? { from: e.state, open: e.state === "SYN-RECEIVED" ? open : "", event: e.event, to: e.to }
      : e.kind === "incident" ? { incident: e.incident }
      : e.kind === "drop" ? { drop: e.reason } : {}).toString();
  if (!q) return Promise.resolve("");
  if (!sentences.has(q)) sentences.set(q, get("explain?" + q).then((a) => a.text, () => ""));
  return sentences.get(q);
}
