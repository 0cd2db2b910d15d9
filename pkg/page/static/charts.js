// Round trip and congestion window of the chosen connection, over time.
import uPlot from "/.tcpd/vendor/uPlot.js";
import { by } from "/.tcpd/dom.js";

const most = 300; // samples
let data = [[], [], [], []], plots = [];

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function options(title, unit, series) {
  const axis = { stroke: color("--soft"), grid: { stroke: color("--line"), width: 1 }, ticks: { stroke: color("--line"), width: 1 } };
  return {
    title, width: by("rtt").clientWidth || 400, height: 200, cursor: { show: true },
    series: [{}, ...series.map(([label, stroke]) => ({ label, stroke: color(stroke), width: 2, points: { show: true, size: 4 }, value: (_, v) => (v == null ? "–" : v + " " + unit) }))],
    axes: [axis, { ...axis, size: 56, values: (_, ticks) => ticks.map((v) => +v.toFixed(3)) }],
    scales: {
      x: { range: (_, first, last) => [first, Math.max(last, first + 10)] }, // s: one point alone has no width
      y: { range: (_, _low, high) => [0, (high || 1) * 1.15] },
    },
  };
}

const parts = () => [[data[0], data[1], data[2]], [data[0], data[3]]];

export function draw() {
  plots.forEach((p) => p.destroy());
  plots = [
    new uPlot(options("Round trip, ms", "ms", [["smoothed", "--accent"], ["least", "--mark"]]), parts()[0], by("rtt")),
    new uPlot(options("Congestion window, kB", "kB", [["window", "--accent"]]), parts()[1], by("cwnd")),
  ];
}

export function clear() {
  data = [[], [], [], []];
  plots.forEach((p, i) => p.setData(parts()[i]));
}

export function add(info) {
  if (Date.now() / 1000 - (data[0].at(-1) ?? 0) < 1) return;
  const sample = [Date.now() / 1000, (info.rtt_ns || 0) / 1e6, (info.min_rtt_ns || 0) / 1e6, (info.cwnd || 0) / 1e3];
  data = data.map((list, i) => [...list.slice(1 - most), Math.round(sample[i] * 1000) / 1000]);
  plots.forEach((p, i) => p.setData(parts()[i]));
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
addEventListener("resize", () => plots.forEach((p) => p.setSize({ width: by("rtt").clientWidth, height: 200 })));
