// Requests to the server that this page came from.

/** The server refused, with one line that says why. */
export class Refused extends Error {
  constructor(status, line) {
    super(line);
    this.status = status;
  }
}

/** Sends a request; gives what came back as JSON, or null where nothing did. */
export async function ask(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: body === undefined ? {} : { 'Content-Type': 'application/json' },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal: AbortSignal.timeout(method === 'GET' ? 5000 : 30000),
  });
  if (!response.ok) {
    const told = await response.json().catch(() => ({}));
    throw new Refused(response.status, told.error ?? `the server answers ${response.status}`);
  }
  return response.status === 204 ? null : response.json();
}

/** The address of a stream. */
export const streamPath = (name, rest = '') => `/api/v1/streams/${encodeURIComponent(name)}${rest}`;
