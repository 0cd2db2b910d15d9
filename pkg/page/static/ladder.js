// Ladders: time goes down, a line is an end, an arrow is a segment.
import { explain } from "/.tcpd/api.js";
import { el, svg } from "/.tcpd/dom.js";

const width = 980, left = 300, right = 680, step = 24, head = 40;

// numbering counts sequence numbers from each side's first, as text is.
function numbering() {
  const first = new Map();
  const from = (key, seq) => {
    if (!first.has(key)) first.set(key, seq);
    return (seq - first.get(key)) >>> 0;
  };
  return (key, sender, receiver, g) => {
    if (g.flags === "SYN") first.delete(key + receiver);
    if (g.flags.includes("SYN")) first.set(key + sender, g.seq);
    const words = [g.flags.replaceAll(",", " "), "seq " + from(key + sender, g.seq)];
    if (g.text) words.push("text " + g.text);
    if (g.flags.includes("ACK")) words.push("ack " + from(key + receiver, g.ack - (first.has(key + receiver) ? 0 : 1)));
    return words.join(" · ");
  };
}

// said is what happens at one end alone, in a few words.
function said(e) {
  switch (e.kind) {
    case "transition": return e.to === e.state ? `stays ${e.to} (${e.event})` : `→ ${e.to} (${e.event})`;
    case "incident": return e.incident.replaceAll("_", " ");
    case "drop": return "not taken: " + e.reason.replaceAll("_", " ");
    case "call": return "user: " + e.call.replaceAll("_", " ") + (e.bytes ? " " + e.bytes : "");
  }
}

// pair finds where each segment that was sent arrives: its row, by the row of its departure.
function pair(events) {
  const to = new Map(), taken = new Set();
  events.forEach((e, i) => {
    if (e.kind !== "arrival") return;
    const g = e.segment;
    const j = events.findIndex((d, k) => k < i && !to.has(k) && d.kind === "departure" && d.end !== e.end &&
      d.segment.flags === g.flags && d.segment.seq === g.seq && d.segment.ack === g.ack && d.segment.text === g.text);
    if (j >= 0) to.set(j, i), taken.add(i);
  });
  return { to, taken };
}

const mirrored = (id) => (id || "").split("-").reverse().join("-");

// ladder draws events; an event's end is client (left) or server (right). With one end seen, arrows are level.
export function ladder(titles, events, live) {
  const both = events.some((e) => e.end === "client");
  const label = numbering();
  const { to, taken } = both ? pair(events) : { to: new Map(), taken: new Set() };
  const height = head + (events.length + 1) * step;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Ladder of ${titles.join(" and ")}; in words below` });
  const row = (i) => head + (i + 0.5) * step;
  root.append(
    svg("text", { class: "head left", x: left + 40, y: 18 }, titles[0]), svg("text", { class: "head", x: right - 40, y: 18 }, titles[1]),
    svg("line", { class: "rail", x1: left, x2: left, y1: 28, y2: height }), svg("line", { class: "rail", x1: right, x2: right, y1: 28, y2: height }),
    svg("defs", {}, svg("marker", { id: live ? "tip-live" : "tip", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, orient: "auto" },
      svg("path", { d: "M0 0L8 4L0 8z", fill: "currentColor" }))));
  const words = [];
  events.forEach((e, i) => {
    const y = row(i), ours = e.end === "client";
    root.append(svg("text", { class: "time", x: 4, y: y + 4 }, ((e.at - events[0].at) / 1e6).toFixed(1) + " ms"));
    if (!e.segment || e.kind === "drop") {
      root.append(svg("text", { class: e.kind + (ours ? " left" : ""), x: ours ? left - 12 : right + 12, y: y + 4 }, said(e)));
      words.push([e, `${ours ? titles[0] : titles[1]}: ${said(e)}`]);
      return;
    }
    if (taken.has(i)) return;
    const stray = both && e.kind === "arrival"; // nobody is seen to send it: the network has kept it
    const leftwards = both ? (e.end === "server") !== stray : e.kind === "departure";
    const key = ours ? mirrored(e.connection) : e.connection || "";
    const text = label(key, leftwards ? "s" : "c", leftwards ? "c" : "s", e.segment) + (e.again ? ` · again: ${e.again.replaceAll("_", " ")}` : "");
    const y2 = to.has(i) ? row(to.get(i)) : y;
    const [x1, x2] = leftwards ? [right, left] : [left, right];
    const at = y2 === y ? 0.5 : 0.32; // nearer its sender, so that the labels of segments that cross do not
    root.append(svg("line", { class: "wire" + (e.again || stray ? " again" : ""), x1, x2, y1: y, y2, "marker-end": `url(#${live ? "tip-live" : "tip"})` }),
      svg("text", { class: "label", x: x1 + (x2 - x1) * at, y: y + (y2 - y) * at - 6 }, text + (stray ? " · late" : "")));
    words.push([e, `${leftwards ? titles[1] : titles[0]} ${stray ? "sent this long ago:" : "sends"} ${text}`]);
  });
  return el("div", {}, el("div", { class: "ladder" + (live ? " live" : ""), tabindex: 0, role: "region", "aria-label": "Ladder" }, root), inWords(words, live, both ? "passive" : ""));
}

// inWords tells the ladder, with a sentence for each step. open is how a SYN-RECEIVED has come about, where that is known.
function inWords(words, live, open) {
  const list = el("ol", { class: "words" });
  const fill = () => {
    list.replaceChildren(...words.map(([e, text]) => {
      const sentence = el("span");
      explain(e, open).then((s) => { sentence.textContent = s ? " " + s : ""; });
      return el("li", {}, el("b", {}, text), ".", sentence);
    }));
  };
  if (live) {
    const details = el("details", { ontoggle: () => details.open && fill() }, el("summary", {}, "In words"), list);
    return details;
  }
  fill();
  return el("details", { open: true }, el("summary", {}, "In words"), list);
}
