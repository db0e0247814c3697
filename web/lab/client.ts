import type { TypedDocumentString } from './gql/operations';

interface Reply<Data> {
  data?: Data | null;
  errors?: { message: string; extensions?: { code?: string } }[];
}

/** An answer that is none: what the server says is for the person before the page. */
export class Refusal extends Error {
  constructor(
    message: string,
    /** Whether another token may help. */
    readonly signIn: boolean,
  ) {
    super(message);
  }
}

/** Queries and mutations by POST; subscriptions as event streams, which, unlike web sockets, need nothing but fetch. */
export class Client {
  constructor(
    private readonly endpoint: string,
    private readonly token: string,
  ) {}

  async ask<Data, Variables>(document: TypedDocumentString<Data, Variables>, variables: Variables): Promise<Data> {
    const response = await this.post(document, variables, 'application/json');
    return read<Data>(await response.text(), response.status);
  }

  /** Calls tell for each event and resolves when the server says that there are no more. */
  async watch<Data, Variables>(
    document: TypedDocumentString<Data, Variables>,
    variables: Variables,
    signal: AbortSignal,
    tell: (data: Data) => void,
  ): Promise<void> {
    const response = await this.post(document, variables, 'text/event-stream', signal);
    if (!response.headers.get('content-type')?.startsWith('text/event-stream') || !response.body) {
      read<Data>(await response.text(), response.status);
      throw new Error('the server does not stream');
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) {
        throw new Error('the stream broke off');
      }
      const events = (rest + value.replaceAll('\r\n', '\n')).split('\n\n');
      rest = events.pop() ?? '';
      for (const event of events) {
        const field = (name: string) =>
          event
            .split('\n')
            .filter((line) => line.startsWith(`${name}:`))
            .map((line) => line.slice(name.length + 1).trimStart())
            .join('\n');
        if (field('event') === 'complete') {
          return;
        }
        if (field('event') === 'next') {
          tell(read<Data>(field('data'), response.status));
        }
      }
    }
  }

  private post(document: { toString(): string }, variables: unknown, accept: string, signal?: AbortSignal) {
    return fetch(this.endpoint, {
      method: 'POST',
      headers: { Accept: accept, 'Content-Type': 'application/json', Authorization: `Bearer ${this.token}` },
      body: JSON.stringify({ query: document.toString(), variables }),
      signal,
    });
  }
}

function read<Data>(text: string, status: number): Data {
  let reply: Reply<Data>;
  try {
    reply = JSON.parse(text) as Reply<Data>;
  } catch {
    throw new Refusal(`The server answered with status ${status}.`, false);
  }
  const [error] = reply.errors ?? [];
  if (error) {
    throw new Refusal(error.message, ['UNAUTHENTICATED', 'FORBIDDEN'].includes(error.extensions?.code ?? ''));
  }
  if (!reply.data) {
    throw new Refusal(`The server answered with status ${status} and no data.`, false);
  }
  return reply.data;
}
