// The page: what a fitter enters goes to the server, what the server and the device say is shown.

import { get, post } from "./api.js";
import { AudiogramGraph } from "./audiogram.js";
import { GainCurves } from "./gains.js";
import { Histogram, Meters, showEvents } from "./live.js";
import { EARS, EAR_WORDS, Plan } from "./plan.js";
import { PointsTable } from "./points.js";
import { ReportDialog } from "./report.js";
import { byId, html } from "./svg.js";

const limits = await get("/api/limits");
const plan = new Plan(limits);
const curves = new GainCurves();
const meters = new Meters(byId("meters"));
const histogram = new Histogram(byId("histogram"), byId("histogram-words"), byId("times-table"));

/** The latest of the server's words on the device. */
let device = { connected: false, error: "", identity: null, ears: {}, trial: null, output: "sounds" };
/** Per ear: targets, or null where there is no audiogram or an error. */
let targets = { right: null, left: null };
let wrong = false;
let busy = false;

const checked = (name) => document.querySelector(`input[name="${name}"]:checked`).value;
const choice = {
  ear: () => checked("ear"),
  mode: () => checked("mode"),
  choose(ear) {
    document.querySelector(`input[name="ear"][value="${ear}"]`).checked = true;
    showEar();
  },
};
const graph = new AudiogramGraph(byId("graph"), plan, choice);
const points = new PointsTable(byId("points"), plan);
const report = new ReportDialog(() => request());

function showEar() {
  byId("copy").textContent = `Copy to ${choice.ear() === "right" ? "left" : "right"}`;
  graph.draw();
}

function say(words, kind = "") {
  const message = byId("message");
  message.textContent = words;
  message.className = `message ${kind}`;
}

/** Runs a command; what goes wrong is said in the page, and nothing else happens. */
async function doing(words, act) {
  if (busy) return;
  busy = true;
  say(words);
  enable();
  try {
    say(await act(), "good");
  } catch (error) {
    say(error.message, "bad");
  } finally {
    busy = false;
    enable();
  }
}

// ---- what is asked of the server

/** The ears that have an audiogram and are ticked, as the server wants them. */
function chosen() {
  return EARS.filter((ear) => byId(`use-${ear}`).checked && !plan.isEmpty(ear));
}

function request() {
  const ears = Object.fromEntries(chosen().map((ear) => [ear, plan.wanted(ear)]));
  return { device: device.identity?.key ?? null, ears };
}

let asked = 0;
let waiting = null;

async function askTargets() {
  const number = ++asked;
  const ears = Object.fromEntries(
    EARS.filter((ear) => !plan.isEmpty(ear)).map((ear) => [ear, plan.wanted(ear)]),
  );
  let answer = {};
  let sentence = "";
  try {
    if (Object.keys(ears).length) answer = await post("/api/targets", { ears });
  } catch (error) {
    sentence = error.message;
  }
  if (number !== asked) return; // a later drawing has asked meanwhile
  const sentences = sentence ? [sentence] : [];
  for (const ear of EARS) {
    const one = answer[ear] ?? null;
    if (one?.error) sentences.push(one.error);
    targets[ear] = one?.error ? null : one;
  }
  wrong = sentences.length > 0;
  const box = byId("audiogram-error");
  box.hidden = !wrong;
  if (box.textContent !== sentences.join(" ")) box.textContent = sentences.join(" ");
  const empty = Object.fromEntries(EARS.map((ear) => [ear, plan.isEmpty(ear)]));
  curves.show({ targets, empty });
  compare();
  enable();
}

plan.addEventListener("change", () => {
  showFields();
  if (!busy) say("");
  clearTimeout(waiting);
  waiting = setTimeout(askTargets, 60);
});

// ---- what is shown

function same(one, other) {
  return one.every((value, i) => Math.abs(value - other[i]) < 0.06);
}

/** Whether the device has stored what the page would give this ear. */
function isStored(ear) {
  const [target, stored] = [targets[ear]?.fitting, device.ears[ear]?.stored];
  if (!target || !stored) return false;
  const scalars = (fitting) => [fitting.mpo_db_spl, 100 * fitting.noise_reduction];
  return (
    same(target.gain_65_db, stored.gain_65_db) &&
    same(target.compression_ratio, stored.compression_ratio) &&
    same(target.thresholds_db_hl, stored.thresholds_db_hl) &&
    same(scalars(target), scalars(stored))
  );
}

/** Whether the device now applies what the page would give this ear. */
function isHeard(ear) {
  const applied = device.ears[ear].applied;
  const heard = applied.gain_db.map((db) => db - applied.volume_db);
  return same(targets[ear].fitting.gain_65_db, heard);
}

function compare() {
  for (const ear of EARS) {
    const badge = byId(`match-${ear}`);
    const state = !device.connected
      ? ["none", "no device"]
      : !targets[ear]
        ? plan.isEmpty(ear)
          ? ["none", device.ears[ear]?.stored ? "the device has a fitting" : "not fitted"]
          : ["wait", "△ to be corrected"]
        : isStored(ear)
          ? ["good", "✓ stored in the device"]
          : device.trial?.ears.includes(ear) && isHeard(ear)
            ? ["wait", "△ heard on trial, not stored"]
            : ["wait", "△ not on the device yet"];
    badge.className = `badge ${state[0]}`;
    if (badge.textContent !== state[1]) badge.textContent = state[1];
  }
}

/** Why a button does nothing now, or "" where it works. */
function hindrance(needsPlan) {
  if (!device.connected) return "The device is not connected.";
  if (!needsPlan) return "";
  if (wrong) return "Correct what the page marks first.";
  if (chosen().length === 0) return "Draw the audiogram of a ticked ear first.";
  return "";
}

/** Buttons stay reachable where they do nothing, so that they can say why. */
function enable() {
  for (const [id, needsPlan] of [
    ["hear-a", false],
    ["hear-b", true],
    ["commit", true],
    ["mute", false],
  ]) {
    const why = hindrance(needsPlan);
    const button = byId(id);
    button.setAttribute("aria-disabled", `${why !== "" || busy}`);
    button.title = why;
  }
  byId("volume").disabled = !device.connected;
  byId("undo").disabled = plan.past.length === 0;
}

function showDevice(next) {
  const before = device;
  device = next;
  const box = byId("device");
  box.className = `device ${next.connected ? "connected" : next.lost ? "lost" : ""}`;
  byId("device-mark").textContent = next.connected ? "✓" : next.lost ? "!" : "…";
  const state = next.connected ? "Connected" : next.lost ? "Device lost" : "No device";
  if (byId("device-state").textContent !== state) byId("device-state").textContent = state;
  const words = next.identity ? next.identity.words : next.port;
  if (byId("device-words").textContent !== words) byId("device-words").textContent = words;
  const banner = byId("banner");
  banner.hidden = next.connected || !next.error;
  const sentence = next.connected || !next.error ? "" : `${next.error} ${AFTERWARDS}`;
  if (banner.textContent !== sentence) banner.textContent = sentence;
  if (!next.connected) {
    meters.show(null);
    histogram.show(null);
    say("");
  } else if (before.lost) {
    say("The device is back; what it has stored was read again.", "good");
  }
  const applied = {};
  const mpo = {};
  for (const ear of EARS) {
    applied[ear] = (next.connected && next.ears[ear]?.applied) || null;
    mpo[ear] = (next.connected && next.ears[ear]?.applied?.mpo_db_spl) || null;
  }
  curves.show({ applied });
  meters.limits(mpo);
  const rough = next.uncalibrated ?? [];
  byId("live-words").textContent =
    next.connected && rough.length
      ? `△ Not calibrated, ${earsInWords(rough)}: the limiter keeps ` +
        `${Math.min(...rough.map((ear) => mpo[ear]))} dB SPL, whatever the fitting's MPO.`
      : "";
  byId("mute").setAttribute("aria-pressed", `${next.output !== "sounds"}`);
  byId("mute").textContent = MUTE_WORDS[next.output];
  const volume = byId("volume");
  if (next.volume_range_db) {
    [volume.min, volume.max] = next.volume_range_db;
    volume.setAttribute("min", next.volume_range_db[0]);
    volume.setAttribute("max", next.volume_range_db[1]);
  }
  if (document.activeElement !== volume && next.volume_db !== null) volume.value = next.volume_db;
  showVolume();
  showTrial(before.trial, next.trial);
  showEvents(next.events ?? []);
  compare();
  enable();
}

const MUTE_WORDS = { sounds: "Mute", muted: "Muted: unmute", silent: "Silenced: let it sound" };
const AFTERWARDS =
  "What you drew is kept, nothing is half applied, and the page goes on by itself when the device " +
  "is back.";

let trialEnds = 0;
let trialLength = 1;

function showTrial(before, now) {
  byId("hear-a").setAttribute("aria-pressed", `${device.connected && !now}`);
  byId("hear-b").setAttribute("aria-pressed", `${Boolean(now)}`);
  if (now) {
    trialEnds = performance.now() + 1000 * now.remaining_s;
    trialLength = now.seconds;
    tick();
    return;
  }
  byId("trial-bar").firstElementChild.style.width = "0";
  byId("trial-words").textContent = device.connected
    ? "A, the stored fitting, is heard."
    : "Nothing is known of what is heard.";
  if (before && device.connected && !busy) say("The trial is over; the stored fitting is back.");
}

function tick() {
  if (!device.trial) return;
  const left = Math.max(0, (trialEnds - performance.now()) / 1000);
  byId("trial-bar").firstElementChild.style.width = `${Math.min(100, (100 * left) / trialLength)}%`;
  const ears = earsInWords(device.trial.ears);
  byId("trial-words").textContent = `B is heard, ${ears}: back to A in ${Math.ceil(left)} s`;
  if (left > 0) setTimeout(tick, 200);
}

function earsInWords(ears) {
  return ears.length === 2 ? "both ears" : EAR_WORDS[ears[0]].toLowerCase();
}

function showVolume() {
  const db = Number(byId("volume").value);
  const words = `${db > 0 ? "+" : ""}${db} dB`;
  byId("volume-words").textContent = words;
  byId("volume").setAttribute("aria-valuetext", words);
}

function showFields() {
  byId("rule").value = plan.rule;
  byId("compression").value = plan.linear ? "off" : "on";
  byId("table-choice").hidden = plan.rule !== "gain-table";
  byId("table-name").textContent = plan.table?.name ?? "no file yet";
  const [least, most] = limits.mpo_db_spl;
  for (const ear of EARS) {
    const box = byId(`mpo-${ear}`);
    const value = plan.mpo[ear];
    if (!box.validity.badInput && Number(box.value) !== value) box.value = value ?? "";
    box.setAttribute("aria-invalid", `${!(value >= least && value <= most)}`);
  }
  byId("noise").value = Math.round(100 * plan.noise);
  byId("noise-words").textContent = `${Math.round(100 * plan.noise)} %`;
  byId("undo").disabled = plan.past.length === 0;
}

// ---- what the fitter does

const textOf = (file) => file.text();

async function openFile(file) {
  const { listeners } = await post("/api/audiogram-file", {
    name: file.name,
    text: await textOf(file),
  });
  const listener = listeners.length === 1 ? listeners[0] : await chooseListener(listeners);
  if (!listener) return "Nothing was loaded.";
  plan.load({ right: listener.right, left: listener.left });
  const whose = listener.name ? ` of ${listener.name}` : "";
  return `The audiogram${whose} was loaded from ${file.name}.`;
}

function chooseListener(listeners) {
  const [dialog, select] = [byId("listener-dialog"), byId("listener")];
  select.replaceChildren(
    ...listeners.map((listener, i) => html("option", { value: i }, listener.name || "(no name)")),
  );
  dialog.returnValue = "cancel";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener(
      "close",
      () => resolve(dialog.returnValue === "load" ? listeners[Number(select.value)] : null),
      { once: true },
    );
  });
}

function loadFromDevice() {
  const known = EARS.filter((ear) => device.ears[ear]?.stored);
  if (known.length === 0) throw new Error("The device has no fitting to load.");
  plan.load(
    Object.fromEntries(
      known.map((ear) => {
        // A device that was fitted by something else may know the net's six points alone.
        const { stored, points } = device.ears[ear];
        const six = stored.thresholds_db_hl.map((db, i) => [limits.standard_hz[i], db, false]);
        return [ear, points ?? six];
      }),
    ),
  );
  return "The audiogram of the device's fitting was loaded.";
}

byId("load").addEventListener("change", (event) => {
  const value = event.target.value;
  event.target.value = "";
  if (value === "file") byId("file").click();
  else if (value === "device") doing("Loading…", async () => loadFromDevice());
  else if (value) {
    plan.load({ right: limits.standard[value], left: limits.standard[value] });
    say(`Standard audiogram ${value}, both ears.`, "good");
  }
});
byId("file").addEventListener("change", (event) => {
  const file = event.target.files[0];
  event.target.value = "";
  if (file) doing("Reading the file…", () => openFile(file));
});
byId("save").addEventListener("click", () =>
  doing("Saving…", async () => {
    const ears = Object.fromEntries(
      EARS.filter((ear) => !plan.isEmpty(ear)).map((ear) => [ear, { points: plan.points(ear) }]),
    );
    const { text } = await post("/api/save-audiogram", { name: byId("client").value, ears });
    report.download(text, "audiogram.json", "application/json");
    return "The audiogram was saved as audiogram.json.";
  }),
);
byId("undo").addEventListener("click", () => plan.undo());
byId("clear").addEventListener("click", () => plan.load({ right: [], left: [] }));
byId("copy").addEventListener("click", () => {
  const from = choice.ear();
  const to = from === "right" ? "left" : "right";
  plan.load({ [to]: plan.points(from) });
  say(`Copied to the ${EAR_WORDS[to].toLowerCase()}.`, "good");
});
for (const input of document.querySelectorAll('input[name="ear"]')) {
  input.addEventListener("change", showEar);
}

byId("rule").addEventListener("change", (event) => plan.change({ rule: event.target.value }));
byId("compression").addEventListener("change", (event) =>
  plan.change({ linear: event.target.value === "off" }),
);
byId("table-button").addEventListener("click", () => byId("table-file").click());
byId("table-file").addEventListener("change", async (event) => {
  const file = event.target.files[0];
  event.target.value = "";
  if (file) plan.change({ table: { name: file.name, text: await textOf(file) } });
});
for (const ear of EARS) {
  byId(`mpo-${ear}`).addEventListener("change", (event) => {
    const box = event.target;
    const value = box.validity.badInput ? "not a number" : box.value === "" ? null : +box.value;
    plan.change({ mpo: { ...plan.mpo, [ear]: value } });
  });
  byId(`use-${ear}`).addEventListener("change", enable);
}
byId("noise").addEventListener("input", (event) => {
  byId("noise-words").textContent = `${event.target.value} %`;
});
byId("noise").addEventListener("change", (event) =>
  plan.change({ noise: Number(event.target.value) / 100 }),
);

/** A button that says why it does nothing, where it does nothing. */
function onPress(id, needsPlan, words, act) {
  byId(id).addEventListener("click", () => {
    const why = hindrance(needsPlan);
    if (why) say(why, "bad");
    else doing(words, act);
  });
}

onPress("hear-b", true, "Sending and reading back…", async () => {
  const seconds = byId("seconds").value === "" ? null : Number(byId("seconds").value);
  const { message } = await post("/api/try", { ...request(), seconds });
  return message;
});
onPress("hear-a", false, "Back to the stored fitting…", async () => {
  const { message } = await post("/api/revert", { device: device.identity?.key ?? null });
  return message;
});
onPress("commit", true, "Sending, reading back and storing…", async () => {
  const { message } = await post("/api/commit", request());
  return message;
});
onPress("mute", false, "…", async () => {
  const { message } = await post("/api/mute", { on: device.output === "sounds" });
  return message;
});
// Panic waits for nothing: not for another command, not for a device that the page thinks is lost.
byId("panic").addEventListener("click", async () => {
  try {
    say((await post("/api/panic")).message, "good");
  } catch (error) {
    say(error.message, "bad");
  }
});
byId("volume").addEventListener("input", showVolume);
byId("volume").addEventListener("change", (event) =>
  doing("Setting the volume…", async () => {
    const { message } = await post("/api/volume", { db: Number(event.target.value) });
    return message;
  }),
);
byId("report").addEventListener("click", () => report.open());

async function listPorts() {
  const { ports, current } = await get("/api/ports");
  const names = new Map(ports.map((port) => [port.name, port.words]));
  if (current && !names.has(current)) names.set(current, current);
  byId("port").replaceChildren(
    ...[...names].map(([name, words]) => html("option", { value: name }, words)),
  );
  if (names.size === 0) byId("port").append(html("option", { value: "" }, "no serial port"));
  byId("port").value = current ?? "";
}
byId("port").addEventListener("focus", () => listPorts().catch((error) => say(error.message, "bad")));
byId("connect").addEventListener("click", () =>
  doing("Connecting…", async () => {
    const { message } = await post("/api/connect", { port: byId("port").value });
    return message;
  }),
);

// ---- start

byId("standard").append(
  ...Object.keys(limits.standard).map((name) => html("option", { value: name }, name)),
);
byId("rule").append(
  ...limits.rules.map(({ name, words }) => html("option", { value: name }, words)),
);
for (const ear of EARS) {
  byId(`mpo-${ear}`).min = limits.mpo_db_spl[0];
  byId(`mpo-${ear}`).max = limits.mpo_db_spl[1];
}
[byId("seconds").min, byId("seconds").max, byId("seconds").value] = limits.trial_s;
showFields();
showEar();
histogram.show(null);
await askTargets();
listPorts().catch(() => {});

const stream = new EventSource("/api/events");
stream.addEventListener("state", (event) => showDevice(JSON.parse(event.data)));
stream.addEventListener("levels", (event) => {
  if (device.connected) meters.show(JSON.parse(event.data));
});
stream.addEventListener("times", (event) => {
  if (device.connected) histogram.show(JSON.parse(event.data));
});
stream.addEventListener("error", () =>
  showDevice({
    ...device,
    connected: false,
    lost: true,
    trial: null,
    error: "The fitting program does not answer; start `neuroamp fitting` again.",
  }),
);
document.documentElement.dataset.ready = "yes";
