// Prints what each check of a client came to, as the tests in e2e read it: one line of JSON each.
import assert from 'node:assert/strict';

export async function check(name, run) {
  let error = null;
  try {
    await run();
  } catch (failure) {
    error = String(failure?.stack ?? failure);
    process.exitCode = 1;
  }
  console.log(JSON.stringify({ check: name, error }));
}

export async function post(url, body, headers = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return response.json();
}

export { assert };
