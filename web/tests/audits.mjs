// Runs the audits of GraphQL over HTTP (the npm package graphql-http) against a server. Prints one JSON object a line: of each
// audit, its ID and level, and why it failed.
//
//   node tests/audits.mjs http://127.0.0.1:8080/graphql
import { serverAudits } from 'graphql-http';

const [url] = process.argv.slice(2);

// Pages cannot make a browser send this header to another site without asking first: without it, the server takes GET
// requests for what such a page forged. See docs/api.md.
const fetchFn = (input, init = {}) =>
  fetch(input, { ...init, headers: { 'apollo-require-preflight': 'true', ...init.headers } });

for (const audit of serverAudits({ url, fetchFn })) {
  const result = await audit.fn();
  console.log(
    JSON.stringify({
      id: audit.id,
      name: audit.name,
      level: audit.name.split(' ')[0],
      status: result.status,
      reason: result.status === 'ok' ? '' : result.reason,
    }),
  );
}
