// The audiogram as a graph: O right, X left, 125-8000 Hz on a logarithmic axis, dB HL downward, an
// octave as wide as 20 dB are high (ISO 8253-1). Every point is a slider for keyboard and screen
// reader; the table below it holds the same numbers.

import { EARS, EAR_WORDS } from "./plan.js";
import { path, shortHz, svg } from "./svg.js";

const OCTAVE = 74;
const LEFT = 54;
const TOP = 44;
const LOWEST_HZ = 125;
const HIGHEST_HZ = 8000;
const BEST_DB = -10;
const WORST_DB = 120;
const WIDTH = OCTAVE * Math.log2(HIGHEST_HZ / LOWEST_HZ);
const HEIGHT = ((WORST_DB - BEST_DB) / 20) * OCTAVE;
const STEP_DB = 5;
const FIRST_DB = 20;

const xOf = (hz) => LEFT + OCTAVE * Math.log2(hz / LOWEST_HZ);
const yOf = (db) => TOP + ((db - BEST_DB) / 20) * OCTAVE;
const clamp = (db) => Math.min(WORST_DB, Math.max(BEST_DB, db));
const drawable = (point) =>
  point !== null && typeof point.db === "number" && point.db === clamp(point.db);

function grid() {
  const lines = svg("g", { "aria-hidden": "true" });
  for (let db = BEST_DB; db <= WORST_DB; db += 10) {
    const kind = db === 0 ? "grid zero" : "grid";
    lines.append(svg("path", { class: kind, d: `M${LEFT} ${yOf(db)}h${WIDTH}` }));
    lines.append(svg("text", { x: LEFT - 7, y: yOf(db) + 4, "text-anchor": "end" }, `${db}`));
  }
  for (const hz of [125, 250, 500, 750, 1000, 1500, 2000, 3000, 4000, 6000, 8000]) {
    const octave = Number.isInteger(Math.log2(hz / LOWEST_HZ));
    lines.append(
      svg("path", { class: octave ? "grid" : "grid half", d: `M${xOf(hz)} ${TOP}v${HEIGHT}` }),
      svg(
        "text",
        { x: xOf(hz), y: TOP - 8, "text-anchor": "middle", class: octave ? "strong" : "" },
        shortHz(hz),
      ),
    );
  }
  lines.append(
    svg("rect", { class: "frame", x: LEFT, y: TOP, width: WIDTH, height: HEIGHT }),
    svg("text", { x: LEFT + WIDTH / 2, y: 14, "text-anchor": "middle" }, "Frequency, Hz"),
    svg(
      "text",
      { transform: `translate(13 ${TOP + HEIGHT / 2}) rotate(-90)`, "text-anchor": "middle" },
      "Hearing level, dB HL",
    ),
  );
  return lines;
}

/** The sign of one point; no response adds the arrow, down and away from the middle. */
function sign(ear, x, y, silent) {
  const marks =
    ear === "right"
      ? [svg("circle", { class: "sign", cx: x, cy: y, r: 6.5 })]
      : [svg("path", { class: "sign", d: `M${x - 6} ${y - 6}l12 12m0-12l-12 12` })];
  if (silent) {
    const side = ear === "right" ? -1 : 1;
    const [tipX, tipY] = [x + side * 15, y + 17];
    marks.push(
      svg("path", {
        class: "sign",
        d: `M${x + side * 5} ${y + 5}L${tipX} ${tipY}m${-side * 7} -1l${side * 7} 1l${side * -1} -7`,
      }),
    );
  }
  return marks;
}

export class AudiogramGraph {
  /**
   * @param container where it goes
   * @param plan the points
   * @param choice {ear(), mode(), choose(ear)}: what the fitter edits
   */
  constructor(container, plan, choice) {
    this.plan = plan;
    this.choice = choice;
    this.focusHz = 1000;
    this.drag = null;
    this.handles = new Map();
    this.lines = svg("g");
    this.cross = svg("g", { "aria-hidden": "true" });
    this.handleLayer = svg("g");
    this.root = svg(
      "svg",
      {
        viewBox: `0 0 ${LEFT + WIDTH + 14} ${TOP + HEIGHT + 10}`,
        role: "group",
        "aria-label": "Audiogram, editable",
        "aria-describedby": "graph-help",
      },
      grid(),
      this.lines,
      this.cross,
      this.handleLayer,
    );
    container.append(this.root);
    this.root.addEventListener("pointerdown", (event) => this.#down(event));
    this.root.addEventListener("pointermove", (event) => this.#move(event));
    this.root.addEventListener("pointerup", () => (this.drag = null));
    this.root.addEventListener("pointercancel", () => (this.drag = null));
    this.root.addEventListener("pointerleave", () => this.cross.replaceChildren());
    this.root.addEventListener("keydown", (event) => this.#key(event));
    plan.addEventListener("change", () => this.draw());
    this.draw();
  }

  draw() {
    const active = this.choice.ear();
    const layers = EARS.filter((ear) => ear !== active).concat(active);
    this.lines.replaceChildren(
      ...layers.map((ear) => {
        const resting = ear === active ? "" : " resting";
        const layer = svg("g", { class: `ear-${ear}${resting}`, "aria-hidden": "true" });
        const drawn = this.plan.points(ear).filter(([, db]) => drawable({ db }));
        // No line leads to a point that was not heard.
        const line = drawn.map(([hz, db, silent]) => (silent ? null : [xOf(hz), yOf(db)]));
        layer.append(svg("path", { class: "join", d: path(line) }));
        for (const [hz, db, silent] of drawn) layer.append(...sign(ear, xOf(hz), yOf(db), silent));
        return layer;
      }),
    );
    this.#drawHandles(active);
  }

  /** Sliders of the ear that is edited; they stay the same elements, so that focus stays. */
  #drawHandles(ear) {
    const frequencies = this.plan.frequencies();
    if (!frequencies.includes(this.focusHz)) this.focusHz = 1000;
    for (const [hz, handle] of this.handles) {
      if (!frequencies.includes(hz)) {
        handle.remove();
        this.handles.delete(hz);
      }
    }
    this.handleLayer.setAttribute("class", `ear-${ear}`);
    for (const hz of frequencies) {
      if (!this.handles.has(hz)) {
        const ring = svg("circle", { class: "ring", r: 13 });
        const ghost = svg("circle", { class: "ghost", r: 6 });
        const made = svg(
          "g",
          {
            class: "handle",
            role: "slider",
            "aria-orientation": "vertical",
            "aria-valuemin": BEST_DB,
            "aria-valuemax": WORST_DB,
            "data-hz": hz,
          },
          ring,
          ghost,
        );
        made.addEventListener("focus", () => this.#focused(hz));
        this.handles.set(hz, made);
        this.handleLayer.append(made);
      }
      const handle = this.handles.get(hz);
      const point = this.plan.point(ear, hz);
      const db = drawable(point) ? point.db : this.#near(ear, hz);
      handle.setAttribute("transform", `translate(${xOf(hz)} ${yOf(db)})`);
      handle.setAttribute("aria-label", `${EAR_WORDS[ear]}, ${hz} hertz`);
      handle.setAttribute("aria-valuenow", db);
      handle.setAttribute("aria-valuetext", this.#words(point));
      handle.setAttribute("tabindex", hz === this.focusHz ? 0 : -1);
      handle.querySelector(".ghost").toggleAttribute("hidden", drawable(point));
      handle.querySelector(".ghost").setAttribute("r", drawable(point) ? 0 : 6);
    }
  }

  #words(point) {
    if (point === null) return "not measured";
    if (!drawable(point)) return `${point.db} is no hearing level`;
    return point.silent ? `no response at ${point.db} dB HL` : `${point.db} dB HL`;
  }

  /** Where a point that is not there yet would start: at its nearest neighbour. */
  #near(ear, hz) {
    let best = null;
    for (const [other, db] of this.plan.points(ear)) {
      const distance = Math.abs(Math.log(other / hz));
      if (drawable({ db }) && (best === null || distance < best[0])) best = [distance, db];
    }
    return best === null ? FIRST_DB : best[1];
  }

  #focused(hz) {
    this.focusHz = hz;
    for (const [other, handle] of this.handles) {
      handle.setAttribute("tabindex", other === hz ? 0 : -1);
    }
  }

  /** The frequency and level under a pointer, on the audiometer's steps. */
  #at(event) {
    const place = new DOMPoint(event.clientX, event.clientY).matrixTransform(
      this.root.getScreenCTM().inverse(),
    );
    if (place.x < LEFT - 20 || place.x > LEFT + WIDTH + 14 || place.y < TOP - 12) return null;
    const octave = (place.x - LEFT) / OCTAVE;
    const distance = (hz) => Math.abs(Math.log2(hz / LOWEST_HZ) - octave);
    const hz = this.plan.frequencies().reduce((a, b) => (distance(b) < distance(a) ? b : a));
    const db = BEST_DB + ((place.y - TOP) / OCTAVE) * 20;
    return { hz, db: clamp(Math.round(db / STEP_DB) * STEP_DB) };
  }

  #down(event) {
    const at = this.#at(event);
    if (at === null || event.button !== 0) return;
    event.preventDefault();
    this.#apply(at);
    if (this.choice.mode() !== "missing") {
      this.drag = at;
      this.root.setPointerCapture(event.pointerId);
    }
    this.handles.get(at.hz)?.focus({ preventScroll: true });
  }

  #move(event) {
    const at = this.#at(event);
    if (this.drag && at && at.db !== this.drag.db) {
      this.drag = { hz: this.drag.hz, db: at.db };
      this.#apply(this.drag);
    }
    const shown = this.drag ?? at;
    if (!shown) {
      this.cross.replaceChildren();
      return;
    }
    const [x, y] = [xOf(shown.hz), yOf(shown.db)];
    const right = x > LEFT + WIDTH * 0.7;
    this.cross.replaceChildren(
      svg("path", { class: "cross", d: `M${LEFT} ${y}h${WIDTH}M${x} ${TOP}v${HEIGHT}` }),
      svg(
        "text",
        {
          class: "readout",
          x: right ? x - 12 : x + 12,
          y: y < TOP + 30 ? y + 20 : y - 10,
          "text-anchor": right ? "end" : "start",
        },
        `${shown.hz} Hz, ${shown.db} dB HL`,
      ),
    );
  }

  #apply({ hz, db }) {
    const [ear, mode] = [this.choice.ear(), this.choice.mode()];
    if (mode === "missing") this.plan.remove(ear, hz);
    else this.plan.set(ear, hz, db, mode === "silent");
  }

  #key(event) {
    const hz = Number(event.target.closest?.(".handle")?.dataset.hz);
    if (!hz || event.ctrlKey || event.metaKey || event.altKey) return;
    const frequencies = this.plan.frequencies();
    const place = frequencies.indexOf(hz);
    const goTo = (index) => {
      const next = frequencies[Math.min(frequencies.length - 1, Math.max(0, index))];
      this.handles.get(next).focus();
    };
    const ear = this.choice.ear();
    const point = this.plan.point(ear, hz);
    const moveBy = (db) => {
      const from = drawable(point) ? point.db : this.#near(ear, hz);
      this.plan.set(ear, hz, clamp(point === null ? from : from + db), point?.silent ?? false);
    };
    const step = event.shiftKey ? 1 : STEP_DB;
    const keys = {
      ArrowUp: () => moveBy(-step),
      ArrowDown: () => moveBy(step),
      PageUp: () => moveBy(-4 * STEP_DB),
      PageDown: () => moveBy(4 * STEP_DB),
      ArrowLeft: () => goTo(place - 1),
      ArrowRight: () => goTo(place + 1),
      Home: () => goTo(0),
      End: () => goTo(frequencies.length - 1),
      n: () => this.plan.set(ear, hz, point?.db ?? this.#near(ear, hz), !point?.silent),
      Delete: () => this.plan.remove(ear, hz),
      Backspace: () => this.plan.remove(ear, hz),
      r: () => this.choice.choose("right"),
      l: () => this.choice.choose("left"),
    };
    const act = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (act) {
      event.preventDefault();
      act();
    }
  }
}
