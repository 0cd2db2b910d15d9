// The page: it asks every two seconds, and hears of transitions and of the chosen connection's segments as they happen.
import * as api from "/.tcpd/api.js";
import * as charts from "/.tcpd/charts.js";
import * as lessons from "/.tcpd/lessons.js";
import * as machine from "/.tcpd/machine.js";
import { by, bytes, el, time } from "/.tcpd/dom.js";
import { ladder } from "/.tcpd/ladder.js";

const often = 2000, mostEvents = 60;
const laddered = "kind=transition,incident,arrival,departure,drop,call&";
let you, chosen, streams = [], other, seen = new Map(), paused = false, due;

async function know() {
  try {
    you = await api.get("you");
  } catch (e) {
    if (e.status !== 401) throw e;
    api.setToken(null);
    you = { ...(await api.get("you")), wrong: true };
  }
  by("who").textContent = `You are ${you.address}` + (you.wrong ? ". The token was not this daemon's; tcpd token prints the one that is." : you.trusted ? ", and have the token." : ", without the token.");
  by("key").hidden = you.trusted;
  by("scope").textContent = you.trusted ? "All of them, the first 500." : `Those from ${you.address}; all others need the token.`;
  lessons.allow(you.trusted);
  streams.forEach((s) => s.stop());
  streams = [api.events("kind=transition", (e) => machine.move(e, e.connection || "")), api.events(`${laddered}remote=${you.address}`, note)];
  if (chosen) return;
  // A stream takes a connection that was there: the one to look at is one that questions come on once the streams have theirs.
  await Promise.race([Promise.all(streams.map((s) => s.opened)), new Promise((done) => setTimeout(done, often))]);
  choose((await api.get("you")).connection);
}

// note keeps an event of a connection that is, or may be, looked at: the last of each.
function note(e) {
  if (!e.connection) return;
  if (seen.size > 100 && !seen.has(e.connection)) seen.delete([...seen.keys()].find((id) => id !== chosen));
  seen.set(e.connection, [...(seen.get(e.connection) || []).slice(1 - mostEvents), { ...e, end: "server" }]);
  if (e.connection === chosen) due ??= setTimeout(show, 250);
}

// own reports whether a connection is from the address that the page is shown at: its events are told anyway.
const own = (id) => id.split("-")[1].split(":")[0] === you.address;

async function connections() {
  const page = await api.get("v1/connections?info=true&limit=500");
  const focused = document.activeElement?.dataset?.id;
  by("rows").replaceChildren(...page.connections.map(row));
  if (focused) [...document.querySelectorAll("[data-id]")].find((b) => b.dataset.id === focused)?.focus();
  const one = page.connections.find((c) => c.id === chosen);
  by("chosen").textContent = !chosen ? "There is none." : describe(one);
  if (one?.info && !paused) charts.add(one.info);
}

function describe(c) {
  if (!c) return `${chosen} is over.`;
  const i = c.info || {};
  return `${c.remote} to ${c.local}, ${c.state}; MSS ${i.send_mss || "–"} B, ${i.congestion || "–"}, time-out ${time(i.rto_ns)}` +
    (c.timer ? `; ${(c.info?.timer ?? c.timer.name).replaceAll("_", " ")} timer, ${time(c.timer.left_ns)} left` : "") + ".";
}

function row(c) {
  const i = c.info || {}, n = (text) => el("td", { class: "n" }, text);
  return el("tr", { class: c.id === chosen ? "on" : undefined },
    el("td", {}, el("button", { type: "button", "data-id": c.id, "aria-pressed": String(c.id === chosen), onclick: () => choose(c.id) }, c.remote)),
    el("td", {}, c.local), el("td", {}, c.state), n(time(i.rtt_ns)), n(i.cwnd ? bytes(i.cwnd) : "–"), n(bytes(i.bytes_in || 0)), n(bytes(i.bytes_out || 0)),
    n(String(i.retransmits || 0)));
}

function choose(id) {
  if (id === chosen) return;
  chosen = id;
  charts.clear();
  other?.stop();
  other = own(id) ? undefined : api.events(laddered + "connection=" + encodeURIComponent(id), note);
  by("ladder").replaceChildren();
  show();
  connections().catch(lost);
}

// show draws the ladder anew, unless it is paused or being read.
function show() {
  due = undefined;
  const place = by("ladder");
  if (paused || place.querySelector("details[open]")) return;
  const events = seen.get(chosen);
  if (!events) {
    place.replaceChildren(el("p", {}, "Waiting for its next segment …"));
    return;
  }
  const [ours, theirs] = chosen.split("-");
  const focused = place.contains(document.activeElement) && document.activeElement.classList.contains("ladder");
  const drawn = ladder([theirs, `tcpd ${ours}`], events, true);
  place.replaceChildren(drawn);
  const box = drawn.querySelector(".ladder");
  box.scrollTop = box.scrollHeight;
  if (focused) box.focus({ preventScroll: true });
}

async function totals() {
  const { counters: c, states } = await api.get("totals");
  machine.count(states);
  const fill = (id, rows) => by(id).replaceChildren(...(rows.length ? rows : [["none", ""]]).map(([name, v]) =>
    el("tr", {}, el("td", {}, name.replaceAll("_", " ")), el("td", { class: "n" }, String(v)))));
  const some = (object) => Object.entries(object).filter(([, v]) => v).sort((a, b) => b[1] - a[1]);
  fill("counts", Object.entries(c).filter(([name, v]) => typeof v === "number" && v && name !== "turns"));
  fill("drops", some(c.drops));
  fill("resent", some(c.resent));
}

function lost() {
  by("who").textContent = "tcpd does not answer; trying again.";
}

async function tick() {
  try {
    if (!document.hidden) {
      if (by("who").textContent.startsWith("tcpd does")) await know();
      await Promise.all([connections(), totals()]);
    }
  } catch {
    lost();
  }
  setTimeout(tick, often);
}

by("key").addEventListener("submit", (e) => {
  e.preventDefault();
  api.setToken(by("token").value.trim());
  by("token").value = "";
  know().then(connections).catch(lost);
});
by("pause").addEventListener("click", () => {
  paused = !paused;
  by("pause").setAttribute("aria-pressed", String(paused));
  by("pause").textContent = paused ? "Go on" : "Pause the ladder";
  show();
});
addEventListener("hashchange", () => {
  const had = api.token();
  api.takeToken();
  if (api.token() !== had) know().catch(lost);
});

api.takeToken();
lessons.list();
charts.draw();
await machine.draw().catch(lost);
await know().catch(lost);
tick();
