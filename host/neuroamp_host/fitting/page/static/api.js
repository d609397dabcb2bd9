// Talking to the server: every refusal is one sentence, which the caller shows.

export class Refused extends Error {}

async function answer(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Refused(`the server answered with ${response.status} and no sentence; try again.`);
  }
  if (!response.ok) throw new Refused(body.error);
  return body;
}

async function request(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch {
    throw new Refused("the fitting program does not answer; start `neuroamp fitting` again.");
  }
  return answer(response);
}

export const get = (url) => request(url, {});

export const post = (url, body = {}) =>
  request(url, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
