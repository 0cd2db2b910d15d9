// The lessons: what each shows, and a button that makes it happen.
import { post } from "/.tcpd/api.js";
import { by, el } from "/.tcpd/dom.js";
import { ladder } from "/.tcpd/ladder.js";

const lessons = [
  ["handshake", "Three-way handshake", "Each end tells its first sequence number and hears that the other has it: SYN, SYN ACK, ACK. Three, since the middle one does two things."],
  ["close", "Four-way close", "Each direction ends by itself: a FIN and its ACK, and the same the other way. Who closes first is left in TIME-WAIT."],
  ["half-close", "Half-close", "The client has no more to send, and says so; the server still sends, and the client still reads. Then the server ends, too."],
  ["simultaneous-close", "Simultaneous close", "Both send a FIN before either has the other's. The FINs cross, both pass through CLOSING, and both end in TIME-WAIT."],
  ["time-wait", "TIME-WAIT and 2 MSL", "The last ACK may be lost, and old segments may be on their way. So the first to close remembers the connection for two lifetimes of a segment: here 2 s."],
  ["late-segment", "The late segment", "The server's FIN comes a second time while the client is in TIME-WAIT. It is known, answered with an ACK, and the 2 MSL begin anew. The server has forgotten the connection by then: its RST does not cut the wait short."],
  ["reset", "A closed port", "Nobody listens there. The answer to the SYN is a RST, and the opener's call fails: connection refused."],
  ["isn", "Random first numbers", "Ten connections, each with a first sequence number that an outsider cannot guess: a clock, and a keyed hash of both ends (RFC 6528)."],
];

export function list() {
  by("lesson-list").append(...lessons.map(([name, title, text]) =>
    el("div", { class: "card" }, el("h3", {}, title), el("p", {}, text),
      el("button", { type: "button", "data-lesson": name, "aria-label": "Make it happen: " + title, disabled: true, onclick: () => give(name, title) }, "Make it happen"))));
}

const buttons = () => document.querySelectorAll("[data-lesson]");

export function allow(yes) {
  buttons().forEach((b) => { b.disabled = !yes; });
  by("barred").hidden = yes;
}

async function give(name, title) {
  const told = by("told");
  told.className = "";
  told.textContent = `${title}: it is happening …`;
  by("lesson").replaceChildren();
  try {
    const l = await post("lessons/" + name);
    told.textContent = `${title}: this is what happened.`;
    by("lesson").replaceChildren(...(name === "isn" ? [numbers(l)] : [ladder([`client ${l.client}`, `server ${l.server}`], l.events)]));
    told.scrollIntoView({ block: "nearest" });
  } catch (e) {
    told.className = "error";
    told.textContent = e.message;
  }
}

// numbers lists the first sequence numbers, and how far each is from the one before.
function numbers(l) {
  const of = (end, flags) => l.events.filter((e) => e.end === end && e.kind === "departure" && e.segment.flags === flags);
  const servers = new Map(of("server", "SYN,ACK").map((e) => [e.segment.ack, e.segment.seq]));
  let before;
  const rows = of("client", "SYN").map((e) => {
    const seq = e.segment.seq, far = before === undefined ? "" : ((seq - before) >>> 0).toString();
    before = seq;
    return el("tr", {}, el("td", {}, e.connection.split("-")[0]), el("td", { class: "n" }, String(seq)), el("td", { class: "n" }, far),
      el("td", { class: "n" }, String(servers.get((seq + 1) >>> 0) ?? "–")));
  });
  const head = ["Client", "Its first number", "From the one before (mod 2³²)", "The server's"].map((t, i) => el("th", { scope: "col", class: i ? "n" : undefined }, t));
  return el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "First numbers" },
    el("table", {}, el("thead", {}, el("tr", {}, ...head)), el("tbody", {}, ...rows)));
}
