// The history as a server keeps it, behind a fetch.
import { isRead, type ReadState } from '../src/index.js';
import { event } from './fake.js';

type Entry = ReturnType<typeof event> & { collapse?: string };

export class FakeHistory {
  /** Oldest first, as the log has them. */
  log: Entry[] = [];
  state: ReadState = {};
  size = 5;
  /** The queries that were asked, such as `before=0-1-2&limit=1`. */
  asked: string[] = [];
  authorized: (string | null)[] = [];
  /** Answers with this status instead. */
  status = 200;
  /** Whether to wait for `release` before answering; what is answered is as it was when asked. */
  held = false;
  /** Whether signals are not understood, as by an old fetch. */
  deaf = false;
  #waiting: (() => void)[] = [];

  add(...events: Entry[]): this {
    for (const e of events) {
      this.log = this.log.filter((other) => !e.collapse || other.collapse !== e.collapse || other.to !== e.to);
      this.log.push(e);
    }
    return this;
  }

  release(): void {
    for (const go of this.#waiting.splice(0)) go();
  }

  get unread(): number {
    return this.log.filter((e) => !e.to.startsWith('topic:') && !isRead(this.state, e.id)).length;
  }

  fetch = async (input: unknown, init?: RequestInit): Promise<Response> => {
    const url = new URL(String(input));
    this.asked.push(url.search.slice(1));
    this.authorized.push(new Headers(init?.headers).get('Authorization'));
    const answer = this.#answer(url.searchParams);
    if (this.held) await new Promise<void>((go) => this.#waiting.push(go));
    if (init?.signal?.aborted && !this.deaf) throw init.signal.reason;
    return answer;
  };

  #answer(query: URLSearchParams): Response {
    if (this.status !== 200) return Response.json({ title: 'Not now', detail: `a status of ${this.status}` }, { status: this.status });
    const newest = [...this.log].filter((e) => !e.to.startsWith('topic:')).reverse();
    const before = query.get('before');
    const from = before === null ? 0 : newest.findIndex((e) => e.id === before) + 1;
    if (before !== null && from === 0) return Response.json({ title: 'Unprocessable', detail: 'before is not of this log' }, { status: 422 });
    const limit = Math.min(Number(query.get('limit') ?? this.size), this.size);
    const events = newest.slice(from, from + limit).map(({ cursor: _, ...e }) => ({ ...e, read: isRead(this.state, e.id) }));
    const more = newest.length > from + limit;
    return Response.json({ events, ...(more && { next: events.at(-1)?.id }), ...(before === null && { unread: this.unread }) });
  }
}
