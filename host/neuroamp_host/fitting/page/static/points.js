// The audiogram as a table of boxes: the same numbers as the graph, for those who type or listen.

import { EARS, EAR_WORDS } from "./plan.js";
import { html, shortHz } from "./svg.js";

export class PointsTable {
  constructor(container, plan) {
    this.container = container;
    this.plan = plan;
    this.frequencies = "";
    this.boxes = new Map();
    plan.addEventListener("change", () => this.draw());
    this.draw();
  }

  draw() {
    const frequencies = this.plan.frequencies();
    // The boxes stay the same elements while one types in them.
    if (frequencies.join() !== this.frequencies) {
      this.frequencies = frequencies.join();
      this.#build(frequencies);
    }
    const [least, most] = this.plan.limits.threshold_db_hl;
    for (const ear of EARS) {
      for (const hz of frequencies) {
        const { level, silent } = this.boxes.get(`${ear} ${hz}`);
        const point = this.plan.point(ear, hz);
        const value = point === null ? "" : `${point.db}`;
        if (document.activeElement !== level || Number(level.value) !== point?.db) {
          if (!level.validity.badInput) level.value = value;
        }
        silent.checked = point?.silent ?? false;
        silent.disabled = point === null;
        const wrong = point !== null && !(point.db >= least && point.db <= most);
        level.setAttribute("aria-invalid", `${wrong}`);
      }
    }
  }

  #build(frequencies) {
    this.boxes.clear();
    const head = html("tr", {}, html("th", { scope: "col" }, "Hz"));
    for (const hz of frequencies) {
      head.append(html("th", { scope: "col", "aria-label": `${hz} hertz` }, shortHz(hz)));
    }
    const body = html("tbody");
    for (const ear of EARS) body.append(...this.#rows(ear, frequencies));
    this.container.replaceChildren(
      html(
        "table",
        {},
        html("caption", {}, "Thresholds in dB HL; an empty box was not measured"),
        html("thead", {}, head),
        body,
      ),
    );
  }

  #rows(ear, frequencies) {
    const letter = html("b", { class: ear, "aria-hidden": "true" }, ear === "right" ? "O" : "X");
    const name = ear === "right" ? " Right" : " Left";
    const levels = html("tr", { class: `ear-${ear} first` }, html("th", { scope: "row" }, letter, name));
    const silents = html(
      "tr",
      { class: `ear-${ear}` },
      html("th", { scope: "row", class: "light" }, "no resp."),
    );
    const [least, most] = this.plan.limits.threshold_db_hl;
    for (const hz of frequencies) {
      const where = `${EAR_WORDS[ear]}, ${hz} hertz`;
      const level = html("input", {
        type: "number",
        min: least,
        max: most,
        step: 5,
        "aria-label": `${where}, threshold in dB HL`,
        "aria-describedby": "audiogram-error",
        "data-ear": ear,
        "data-hz": hz,
      });
      const silent = html("input", { type: "checkbox", "aria-label": `${where}, no response` });
      level.addEventListener("change", () => this.#typed(ear, hz, level, silent));
      silent.addEventListener("change", () => {
        const point = this.plan.point(ear, hz);
        if (point !== null) this.plan.set(ear, hz, point.db, silent.checked);
      });
      this.boxes.set(`${ear} ${hz}`, { level, silent });
      levels.append(html("td", {}, level));
      silents.append(html("td", {}, silent));
    }
    return [levels, silents];
  }

  #typed(ear, hz, level, silent) {
    if (level.validity.badInput) this.plan.set(ear, hz, "not a number", false);
    else if (level.value === "") this.plan.remove(ear, hz);
    else this.plan.set(ear, hz, Number(level.value), silent.checked);
  }
}
