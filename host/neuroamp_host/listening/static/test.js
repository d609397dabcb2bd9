// One participant's way through the test; what the sounds are, only the server knows.

const byId = (id) => document.getElementById(id);
const answers = [...document.querySelectorAll("[data-answer]")];
const players = { a: byId("a"), b: byId("b") };
let session = null;
let number = 0;
const played = new Set();

async function ask(path, body) {
  const reply = await fetch(path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const content = await reply.json();
  if (!reply.ok) throw new Error(content.error);
  return content;
}

async function guarded(action) {
  byId("message").textContent = "";
  try {
    await action();
  } catch (error) {
    byId("message").textContent =
      error instanceof TypeError ? "The test's computer does not answer; try again." : error.message;
    update();
  }
}

function update() {
  for (const button of answers) button.disabled = played.size < 2;
}

function show(trial) {
  byId("start").hidden = true;
  byId("pair").hidden = trial.done;
  byId("end").hidden = !trial.done;
  for (const player of Object.values(players)) player.pause();
  if (trial.done) {
    byId("end").querySelector("h2").focus();
    return;
  }
  number = trial.number;
  played.clear();
  update();
  for (const [side, player] of Object.entries(players)) player.src = `sound/${trial[side]}`;
  byId("progress").textContent = `Pair ${trial.number} of ${trial.total}: which is better?`;
  byId("progress").focus();
}

for (const [side, player] of Object.entries(players)) {
  player.addEventListener("play", () => {
    players[side === "a" ? "b" : "a"].pause();
  });
  player.addEventListener("ended", () => {
    played.add(side);
    update();
  });
}

for (const button of answers) {
  button.addEventListener("click", () =>
    guarded(async () => {
      for (const other of answers) other.disabled = true;
      show(await ask("api/answer", { session, number, answer: button.dataset.answer }));
    }),
  );
}

byId("begin").addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(async () => {
    const trial = await ask("api/begin", { participant: byId("participant").value });
    session = trial.session;
    show(trial);
  });
});
