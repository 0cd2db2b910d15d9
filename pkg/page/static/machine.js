// The state diagram. Where states stand is here; which arrows there are is the daemon's own table.
import { get } from "/.tcpd/api.js";
import { by, el, svg } from "/.tcpd/dom.js";

const places = {
  CLOSED: [380, 30], LISTEN: [150, 120], "SYN-SENT": [610, 120], "SYN-RECEIVED": [250, 215], ESTABLISHED: [500, 265],
  "FIN-WAIT-1": [200, 345], "CLOSE-WAIT": [630, 365], "FIN-WAIT-2": [110, 450], CLOSING: [350, 450], "LAST-ACK": [630, 465],
  "TIME-WAIT": [240, 555], OVER: [560, 555],
};
const half = [62, 17];
// What ends a connection early leads from any state to CLOSED; the figure leaves it out, too.
const early = new Set(["Abort", "CloseUnread", "RcvLateData", "RcvRST", "BadSYN", "NewSYN", "HardError", "GaveUp", "FinWaitTimeout"]);

const still = matchMedia("(prefers-reduced-motion: reduce)");
const nodes = {}, edges = new Map();

// CLOSED is drawn twice, so that a connection runs downwards.
const target = (from, to) => (to === "CLOSED" && from !== "LISTEN" && from !== "SYN-SENT" ? "OVER" : to);

// border is where a line from a box's middle to another point leaves the box.
function border([x, y], [tx, ty]) {
  const dx = tx - x, dy = ty - y;
  const scale = Math.min(Math.abs(half[0] / dx || Infinity), Math.abs(half[1] / dy || Infinity));
  return [x + dx * scale, y + dy * scale];
}

function line(from, to) {
  const a = places[from], b = places[to];
  const length = Math.hypot(b[0] - a[0], b[1] - a[1]);
  const bend = 20; // so that there and back are two lines
  const side = [((b[1] - a[1]) / length) * -bend, ((b[0] - a[0]) / length) * bend];
  const middle = [(a[0] + b[0]) / 2 + side[0], (a[1] + b[1]) / 2 + side[1]];
  const [s, e] = [border(a, middle), border(b, middle)];
  const label = [(s[0] + e[0]) / 4 + middle[0] / 2, (s[1] + e[1]) / 4 + middle[1] / 2];
  return { d: `M${s} Q${middle} ${e}`, label };
}

export async function draw() {
  const root = by("diagram");
  root.append(svg("defs", {}, svg("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
    svg("path", { d: "M0 0L8 4L0 8z" }))));
  const labels = new Map();
  for (const c of await get("v1/fsm")) {
    if (c.next === c.state || early.has(c.event)) continue;
    const key = c.state + ">" + target(c.state, c.next);
    labels.set(key, (labels.get(key) || new Set()).add(c.event));
  }
  for (const [key, events] of labels) {
    const l = line(...key.split(">"));
    const path = svg("path", { d: l.d, "marker-end": "url(#arrow)" });
    const list = [...events];
    const text = svg("text", { x: l.label[0], y: l.label[1] + 3 }, list[0] + (list.length > 1 ? " …" : ""));
    edges.set(key, { path, group: root.appendChild(svg("g", { class: "edge" }, path, text, svg("title", {}, list.join(", ")))) });
  }
  for (const [name, [x, y]] of Object.entries(places)) {
    const count = svg("tspan", { class: "count" });
    const box = svg("g", { class: "state" }, svg("rect", { x: x - half[0], y: y - half[1], width: 2 * half[0], height: 2 * half[1], rx: 6 }),
      svg("text", { x, y: y + 4.5 }, name === "OVER" ? "CLOSED" : name, count));
    nodes[name] = { box: root.appendChild(box), count };
  }
}

export function count(states) {
  for (const [name, { box, count }] of Object.entries(nodes)) {
    const n = states[name] || 0;
    count.textContent = n ? " " + n : "";
    box.classList.toggle("lit", n > 0);
  }
}

const shown = 8;

// move lets a connection move.
export function move(e, own) {
  const list = by("moves");
  list.prepend(el("li", {}, `${e.state} → ${e.to}`, el("small", {}, `${e.event}${e.rfc ? ", " + e.rfc : ""}`), el("small", {}, own)));
  while (list.children.length > shown) list.lastChild.remove();
  const edge = edges.get(e.state + ">" + target(e.state, e.to));
  if (!edge) return;
  edge.group.classList.add("lit");
  clearTimeout(edge.timer);
  edge.timer = setTimeout(() => edge.group.classList.remove("lit"), 1500);
  if (!still.matches && by("diagram").querySelectorAll(".dot").length < 50) travel(edge.path);
}

function travel(path) {
  const dot = by("diagram").appendChild(svg("circle", { class: "dot", r: 5 }));
  const length = path.getTotalLength();
  let began;
  const step = (now) => {
    began ??= now;
    const part = Math.min(1, (now - began) / 700);
    const at = path.getPointAtLength(length * part);
    dot.setAttribute("cx", at.x);
    dot.setAttribute("cy", at.y);
    if (part < 1) requestAnimationFrame(step);
    else dot.remove();
  };
  requestAnimationFrame(step);
}
