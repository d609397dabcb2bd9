// What the fitter has entered: points of both ears, the prescription, what an undo goes back to.
// It knows no limits: whatever was typed is sent, and the server says what is wrong with it.

export const EARS = ["right", "left"];
export const EAR_WORDS = { right: "Right ear", left: "Left ear" };

const KEPT = "neuroamp-fitting-plan";

export class Plan extends EventTarget {
  constructor(limits) {
    super();
    this.limits = limits;
    this.ears = { right: new Map(), left: new Map() };
    this.mpo = { right: limits.mpo_db_spl[2], left: limits.mpo_db_spl[2] };
    this.rule = limits.default_rule;
    this.linear = false;
    this.table = null;
    this.noise = 1;
    this.past = [];
    this.#restore();
  }

  /** The frequencies with a column in the table: the audiometer's and any that were loaded. */
  frequencies() {
    const all = new Set(this.limits.channels_hz);
    for (const ear of EARS) for (const hz of this.ears[ear].keys()) all.add(hz);
    return [...all].sort((a, b) => a - b);
  }

  point(ear, hz) {
    return this.ears[ear].get(hz) ?? null;
  }

  set(ear, hz, db, silent = false) {
    this.#remember();
    this.ears[ear].set(hz, { db, silent });
    this.#changed();
  }

  remove(ear, hz) {
    if (!this.ears[ear].has(hz)) return;
    this.#remember();
    this.ears[ear].delete(hz);
    this.#changed();
  }

  /** Points as the server has them, [Hz, dB HL or null, no response], for the ears given. */
  load(ears) {
    this.#remember();
    for (const ear of EARS) {
      if (!(ear in ears)) continue;
      const points = (ears[ear] ?? []).filter(([, db]) => db !== null);
      this.ears[ear] = new Map(points.map(([hz, db, silent]) => [hz, { db, silent }]));
    }
    this.#changed();
  }

  change(values) {
    this.#remember();
    Object.assign(this, values);
    this.#changed();
  }

  undo() {
    const before = this.past.pop();
    if (before) this.#take(before);
    this.#changed();
  }

  points(ear) {
    return [...this.ears[ear]].sort(([a], [b]) => a - b).map(([hz, p]) => [hz, p.db, p.silent]);
  }

  isEmpty(ear) {
    return this.ears[ear].size === 0;
  }

  /** One ear as the server wants it. */
  wanted(ear) {
    return {
      points: this.points(ear),
      rule: this.rule,
      linear: this.linear,
      table: this.table,
      mpo_db_spl: this.mpo[ear],
      noise_reduction: this.noise,
    };
  }

  #copy() {
    const { mpo, rule, linear, table, noise } = this;
    const ears = { right: this.points("right"), left: this.points("left") };
    return structuredClone({ ears, mpo, rule, linear, table, noise });
  }

  #take(copy) {
    const { ears, ...rest } = copy;
    Object.assign(this, rest);
    for (const ear of EARS) {
      this.ears[ear] = new Map(ears[ear].map(([hz, db, silent]) => [hz, { db, silent }]));
    }
  }

  #remember() {
    this.past.push(this.#copy());
    if (this.past.length > 100) this.past.shift();
  }

  #changed() {
    try {
      // Kept for a reload of this tab only, and gone when it is closed.
      sessionStorage.setItem(KEPT, JSON.stringify(this.#copy()));
    } catch {
      // Without storage a reload loses the drawing, nothing else.
    }
    this.dispatchEvent(new Event("change"));
  }

  #restore() {
    try {
      const kept = sessionStorage.getItem(KEPT);
      if (kept) this.#take(JSON.parse(kept));
    } catch {
      sessionStorage.removeItem(KEPT);
    }
  }
}
