// el makes an element with attributes and children; text goes in as text, never as HTML.
const make = (create) => (name, attributes = {}, ...children) => {
  const node = create(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((c) => c !== undefined && c !== null));
  return node;
};

export const el = make((name) => document.createElement(name));
export const svg = make((name) => document.createElementNS("http://www.w3.org/2000/svg", name));
export const by = (id) => document.getElementById(id);

export const time = (ns) => (ns ? (ns < 1e6 ? (ns / 1e3).toFixed(0) + " µs" : (ns / 1e6).toFixed(1) + " ms") : "–");
export const bytes = (n) => (n < 1e4 ? n + " B" : n < 1e7 ? (n / 1e3).toFixed(0) + " kB" : (n / 1e6).toFixed(1) + " MB");
