// What the device reports while it runs: levels per ear, how long frames take, events.

import { EARS, EAR_WORDS } from "./plan.js";
import { byId, html, svg } from "./svg.js";

const LOW_DB = 20;
const HIGH_DB = 125;
const BAR = 300;
const barX = (db) => (BAR * (Math.min(HIGH_DB, Math.max(LOW_DB, db)) - LOW_DB)) / (HIGH_DB - LOW_DB);

export class Meters {
  constructor(container) {
    this.parts = {};
    for (const ear of EARS) {
      const box = html("div", { class: `meter-ear ear-${ear}` });
      box.append(
        html(
          "h3",
          {},
          html("b", { class: ear, "aria-hidden": "true" }, ear === "right" ? "O" : "X"),
          ` ${ear === "right" ? "Right" : "Left"}`,
        ),
      );
      this.parts[ear] = {};
      for (const [key, words] of [
        ["input", "Input"],
        ["output", "Output"],
      ]) {
        const value = html("output", {}, "–");
        const level = svg("rect", { class: `level ${key === "input" ? "in" : ""}`, y: 1, height: 13 });
        const limit = svg("path", { class: "limit", d: "" });
        const meter = html(
          "div",
          {
            class: "meter",
            role: "meter",
            "aria-label": `${EAR_WORDS[ear]}, ${words.toLowerCase()} level in dB SPL`,
            "aria-valuemin": LOW_DB,
            "aria-valuemax": HIGH_DB,
            "aria-valuenow": LOW_DB,
            "aria-valuetext": "not known",
          },
          svg(
            "svg",
            { viewBox: `0 0 ${BAR} 15`, preserveAspectRatio: "none", "aria-hidden": "true" },
            svg("rect", { class: "back", y: 1, width: BAR, height: 13 }),
            level,
            limit,
          ),
        );
        box.append(html("div", { class: "meter-name" }, html("span", {}, words), value), meter);
        this.parts[ear][key] = { value, level, limit, meter };
      }
      container.append(box);
    }
  }

  /** Levels in dB SPL; null clears them. */
  show(levels) {
    for (const ear of EARS) {
      for (const key of ["input", "output"]) {
        const { value, level, meter } = this.parts[ear][key];
        const db = levels?.[ear]?.[`${key}_db_spl`] ?? null;
        value.textContent = db === null ? "–" : `${db.toFixed(0)} dB SPL`;
        level.setAttribute("width", db === null ? 0 : barX(db));
        meter.setAttribute("aria-valuenow", db === null ? LOW_DB : Math.round(db));
        meter.setAttribute("aria-valuetext", db === null ? "not known" : `${db.toFixed(0)} dB SPL`);
      }
    }
  }

  /** Marks the maximum power output that the device keeps, dB SPL. */
  limits(mpo) {
    for (const ear of EARS) {
      const { limit } = this.parts[ear].output;
      const x = mpo[ear] === null ? null : barX(mpo[ear]);
      limit.setAttribute("d", x === null ? "" : `M${x} 0V15`);
    }
  }
}

function ms(us) {
  if (us === null) return "–";
  if (us < 1000) return `${us.toFixed(us < 10 ? 1 : 0)} µs`;
  return `${(us / 1000).toFixed(us < 10000 ? 2 : 1)} ms`;
}

export class Histogram {
  constructor(container, words, table) {
    this.container = container;
    this.words = words;
    this.table = table;
  }

  /** Times of frames: {count, p50_us, ..., deadline_us, late, buckets: [[from, to, n]]}. */
  show(times) {
    if (!times || !times.count) {
      this.container.replaceChildren();
      this.words.textContent = "No frames timed yet.";
      this.table.replaceChildren("No frames timed yet.");
      return;
    }
    const late = `${times.late} of ${times.count} frames late`;
    const deadline = times.deadline_us === null ? "" : ` (later than ${ms(times.deadline_us)})`;
    const summary =
      `Half within ${ms(times.p50_us)}, 99 % within ${ms(times.p99_us)}, ` +
      `longest ${ms(times.max_us)}; ${late}${deadline}.`;
    this.words.textContent = summary;
    this.#draw(times, summary);
    this.#tabulate(times);
  }

  #draw(times, summary) {
    const [width, height, base] = [372, 150, 124];
    const used = times.buckets;
    const ends = [used[0][0], used.at(-1)[1], times.deadline_us ?? used.at(-1)[1]];
    const low = Math.max(1, Math.min(...ends) * 0.8);
    const high = Math.max(...ends) * 1.25;
    const xOf = (us) => 8 + ((width - 16) * Math.log(Math.max(us, low) / low)) / Math.log(high / low);
    const most = Math.max(...used.map(([, , count]) => count));
    // Square roots, so that a handful of late frames among thousands is still seen.
    const heightOf = (count) => Math.max(1.5, (base - 22) * Math.sqrt(count / most));
    const picture = svg("svg", {
      viewBox: `0 0 ${width} ${height}`,
      role: "img",
      "aria-label": `Histogram of frame times. ${summary}`,
    });
    for (const [from, to, count] of used) {
      const isLate = times.deadline_us !== null && from >= times.deadline_us;
      const bar = heightOf(count);
      picture.append(
        svg("rect", {
          class: isLate ? "bars late" : "bars",
          x: xOf(from),
          y: base - bar,
          width: Math.max(1, xOf(to) - xOf(from) - 0.6),
          height: bar,
        }),
      );
    }
    picture.append(svg("path", { class: "frame", d: `M8 ${base}H${width - 8}` }));
    const steps = high / low < 100 ? [1, 2, 5] : [1];
    for (let decade = 1; decade < high; decade *= 10) {
      for (const step of steps) {
        const us = decade * step;
        if (us < low || us > high) continue;
        picture.append(
          svg("path", { class: "frame", d: `M${xOf(us)} ${base}v4` }),
          svg(
            "text",
            { x: xOf(us), y: base + 16, "text-anchor": "middle" },
            us < 1000 ? `${us} µs` : `${us / 1000} ms`,
          ),
        );
      }
    }
    const mark = (us, words, kind, y) => {
      const right = xOf(us) > width * 0.72;
      picture.append(
        svg("path", { class: kind, d: `M${xOf(us)} ${y - 8}V${base}` }),
        svg(
          "text",
          { x: xOf(us) + (right ? -4 : 4), y, "text-anchor": right ? "end" : "start", class: "strong" },
          words,
        ),
      );
    };
    mark(times.p99_us, "99 %", "share-line", 24);
    if (times.deadline_us !== null) mark(times.deadline_us, "deadline", "limit-line", 10);
    this.container.replaceChildren(picture);
  }

  #tabulate(times) {
    const rows = [
      ["frames", `${times.count}`],
      ["mean", ms(times.mean_us)],
      ["half of the frames within", ms(times.p50_us)],
      ["99 % within", ms(times.p99_us)],
      ["99.9 % within", ms(times.p999_us)],
      ["longest", ms(times.max_us)],
      ["deadline", ms(times.deadline_us)],
      ["late", `${times.late}`],
    ];
    const body = html("tbody");
    for (const [words, value] of rows) {
      body.append(html("tr", {}, html("th", { scope: "row" }, words), html("td", {}, value)));
    }
    this.table.replaceChildren(html("table", { class: "numbers" }, body));
  }
}

/** The device's events, latest first. */
export function showEvents(events) {
  byId("events").replaceChildren(
    ...events.map(({ time_s: seconds, words }) =>
      html("li", {}, `${seconds === null ? "" : `${seconds.toFixed(1)} s: `}${words}`),
    ),
  );
}
