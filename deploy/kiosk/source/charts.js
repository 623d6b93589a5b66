/** Small charts of a board's readings: the line is pure, the drawing is SVG. */

const WIDTH = 240;
const HEIGHT = 64;
const SVG = "http://www.w3.org/2000/svg";

/** The points of a line through values (null: not known, left out), from 0 or the least one to the greatest. */
export function line(values, width = WIDTH, height = HEIGHT) {
  const known = values.map((value, index) => [index, value]).filter(([, value]) => value !== null);
  const greatest = Math.max(...known.map(([, value]) => value));
  const least = Math.min(0, ...known.map(([, value]) => value));
  const range = greatest - least || 1;
  const step = width / Math.max(1, values.length - 1);
  return known.map(([index, value]) => [index * step, height - ((value - least) / range) * (height - 4) - 2]);
}

function shape(name, attributes) {
  const element = document.createElementNS(SVG, name);
  Object.entries(attributes).forEach(([key, value]) => element.setAttribute(key, value));
  return element;
}

const points = (pairs) => pairs.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join(" ");

/** A chart; `label` says in words what it shows, since a line says nothing to who cannot see it. */
export function chart(values, label) {
  const svg = shape("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
    role: "img",
    "aria-label": label,
    class: "chart",
    preserveAspectRatio: "none",
  });
  const pairs = line(values);
  if (pairs.length > 0) {
    if (pairs.length === 1) pairs.unshift([0, pairs[0][1]]);
    pairs.at(-1)[0] = WIDTH;
    const area = [[pairs[0][0], HEIGHT], ...pairs, [pairs.at(-1)[0], HEIGHT]];
    svg.append(shape("polygon", { points: points(area), class: "chart-area" }));
    svg.append(shape("polyline", { points: points(pairs), class: "chart-line" }));
  }
  return svg;
}
