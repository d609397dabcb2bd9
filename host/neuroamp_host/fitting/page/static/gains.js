// Target gains and the gains that the device applies, per ear, as curves and as a table.

import { EARS, EAR_WORDS } from "./plan.js";
import { byId, html, path, shortHz, svg } from "./svg.js";

const WIDTH = 372;
const HEIGHT = 228;
const LEFT = 34;
const TOP = 8;
const RIGHT = 10;
const BOTTOM = 26;
const MOST_DB = 70;

const xOf = (hz) => LEFT + ((WIDTH - LEFT - RIGHT) * Math.log2(hz / 125)) / 6;
const yOf = (db, top) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - db / top);
const one = (db) => (db === null || db === undefined ? "–" : db.toFixed(1));

export class GainCurves {
  constructor() {
    this.targets = { right: null, left: null };
    this.applied = { right: null, left: null };
    this.empty = { right: true, left: true };
  }

  /** @param changes {targets, applied, empty}: per ear; `empty` says which have no audiogram */
  show({ targets, applied, empty }) {
    if (empty) this.empty = empty;
    if (targets) this.targets = targets;
    if (applied) this.applied = applied;
    for (const ear of EARS) this.#draw(ear);
    this.#table();
  }

  /** Both ears on the same scale, so that they can be compared by eye. */
  #top() {
    let most = 0;
    for (const ear of EARS) {
      for (const row of Object.values(this.targets[ear]?.gain_db ?? {})) most = Math.max(most, ...row);
      most = Math.max(most, ...(this.applied[ear]?.gain_db ?? []));
    }
    return Math.min(MOST_DB + 10, Math.max(40, Math.ceil((most + 2) / 10) * 10));
  }

  #draw(ear) {
    const top = this.#top();
    const target = this.targets[ear];
    const applied = this.applied[ear];
    const picture = svg("svg", {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      role: "img",
      "aria-label": this.#words(ear),
      class: `ear-${ear}`,
    });
    for (let db = 0; db <= top; db += 10) {
      picture.append(
        svg("path", { class: "grid", d: `M${LEFT} ${yOf(db, top)}H${WIDTH - RIGHT}` }),
        svg("text", { x: LEFT - 5, y: yOf(db, top) + 4, "text-anchor": "end" }, `${db}`),
      );
    }
    for (const hz of [125, 250, 500, 1000, 2000, 4000, 8000]) {
      picture.append(
        svg("path", { class: "grid", d: `M${xOf(hz)} ${TOP}V${HEIGHT - BOTTOM}` }),
        svg("text", { x: xOf(hz), y: HEIGHT - BOTTOM + 14, "text-anchor": "middle" }, shortHz(hz)),
      );
    }
    picture.append(
      svg("text", { x: LEFT + 5, y: TOP + 12 }, "dB"),
      svg("text", { x: WIDTH - RIGHT - 3, y: HEIGHT - BOTTOM - 5, "text-anchor": "end" }, "Hz"),
    );
    const curve = (row, hz, kind) =>
      svg("path", {
        class: `line ${kind}`,
        d: path(row.map((db, i) => [xOf(hz[i]), yOf(Math.min(db, top), top)])),
      });
    if (applied) picture.append(curve(applied.gain_db, applied.channels_hz, "applied"));
    if (target) {
      const hz = target.channels_hz;
      picture.append(
        curve(target.gain_db["50"], hz, "side"),
        curve(target.gain_db["80"], hz, "side"),
        curve(target.gain_db["65"], hz, "target"),
      );
      target.gain_db["65"].forEach((db, i) =>
        picture.append(
          svg("circle", { class: "dot", cx: xOf(hz[i]), cy: yOf(Math.min(db, top), top), r: 2.8 }),
        ),
      );
    } else {
      picture.append(
        svg(
          "text",
          { x: WIDTH / 2 + 10, y: HEIGHT / 2, "text-anchor": "middle" },
          this.empty[ear] ? "No target: draw this ear's audiogram" : "No target: see the mistake",
        ),
      );
    }
    byId(`gain-${ear}`).replaceChildren(picture);
  }

  #words(ear) {
    const target = this.targets[ear];
    const applied = this.applied[ear];
    const row = (gains, hz) =>
      gains.map((db, i) => `${db.toFixed(0)} at ${shortHz(hz[i])}`).join(", ");
    const wanted = target
      ? `target for speech of 65 dB SPL in dB: ${row(target.gain_db["65"], target.channels_hz)}`
      : "no target";
    const now = applied
      ? `applied by the device: ${row(applied.gain_db, applied.channels_hz)}`
      : "the device's gains are not known";
    return `${EAR_WORDS[ear]}, insertion gain; ${wanted}; ${now}`;
  }

  #table() {
    const any = this.targets.right ?? this.targets.left ?? this.applied.right ?? this.applied.left;
    if (!any) {
      byId("gain-table").replaceChildren("No gains yet.");
      return;
    }
    const head = html("tr", {}, html("th", { scope: "col" }, "Gain, dB"));
    for (const hz of any.channels_hz) head.append(html("th", { scope: "col" }, `${hz} Hz`));
    const body = html("tbody");
    for (const ear of EARS) {
      const target = this.targets[ear];
      const rows = [
        ["target, 50 dB SPL", target?.gain_db["50"]],
        ["target, 65 dB SPL", target?.gain_db["65"]],
        ["target, 80 dB SPL", target?.gain_db["80"]],
        ["compression ratio", target?.compression_ratio],
        ["applied by the device", this.applied[ear]?.gain_db],
      ];
      for (const [words, row] of rows) {
        const line = html("tr", {}, html("th", { scope: "row" }, `${EAR_WORDS[ear]}, ${words}`));
        any.channels_hz.forEach((_, i) => line.append(html("td", {}, one(row?.[i]))));
        body.append(line);
      }
    }
    byId("gain-table").replaceChildren(
      html("table", { class: "numbers" }, html("thead", {}, head), body),
    );
  }
}
