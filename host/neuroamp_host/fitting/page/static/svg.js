// Small helpers for SVG and HTML elements. Attributes only: the page's policy allows no inline style.

const SPACE = "http://www.w3.org/2000/svg";

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SPACE, name), attributes, children);
}

export function html(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

export const byId = (id) => document.getElementById(id);

/** "1000" as people write it on an axis: 125, 500, 1k, 1.5k. */
export const shortHz = (hz) => (hz < 1000 ? `${hz}` : `${hz / 1000}k`);

/** A path through points, lifting the pen at null. */
export function path(points) {
  let pen = "M";
  let text = "";
  for (const point of points) {
    if (point === null) {
      pen = "M";
    } else {
      text += `${pen}${point[0].toFixed(1)} ${point[1].toFixed(1)}`;
      pen = "L";
    }
  }
  return text;
}
