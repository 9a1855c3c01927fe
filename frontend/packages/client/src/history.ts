// The history: what was sent to the person and to everybody, a page at a time, over HTTP.

import type { Report } from './listeners.js';
import { formatQuery, isNumber, parseObject, pickHistoryEvent } from './frames.js';
import { isEventId } from './ids.js';
import type { HistoryEvent, HistoryPage, HistoryQuery } from './types.js';
import { within } from './within.js';

/** How long a page may take, in milliseconds. */
const PATIENCE = 20_000;

/** A page of the history could not be read. */
export class HistoryError extends Error {
  override readonly name = 'HistoryError';

  constructor(
    message: string,
    /** The HTTP status of the answer; 0: there was none, or it made no sense. */
    readonly status: number,
    options?: { cause: unknown },
  ) {
    super(message, options);
  }
}

/** Where pages come from, and as whom they are read. */
export interface HistorySource {
  fetch: typeof fetch;
  origin: string;
  token: (fresh: boolean) => Promise<string>;
  report: Report;
}

/** Reads a page, or rejects, in time. A token that is refused is asked for again, once. */
export function readHistory(source: HistorySource, query: HistoryQuery): Promise<HistoryPage> {
  return within(PATIENCE, () => ask(source, query)).catch((cause: unknown) => {
    throw cause instanceof HistoryError || query.signal?.aborted ? cause : new HistoryError('the server is out of reach', 0, { cause });
  });
}

async function ask(source: HistorySource, query: HistoryQuery): Promise<HistoryPage> {
  const get = source.fetch; // called by itself: that of a browser must not be called as a method
  const { before, limit, signal } = query;
  const url = `${source.origin}/api/v1/ws/history?${formatQuery({ before, limit })}`;
  const request = (token: string) => get(url, { headers: { Authorization: `Bearer ${token}` }, signal });
  const token = await source.token(false);
  let answer = await request(token);
  if (answer.status === 401) {
    const fresh = await source.token(true);
    if (fresh !== token) answer = await request(fresh);
  }
  const body = parseObject(await answer.text());
  // An error comes as a problem document (RFC 9457).
  if (!answer.ok) throw new HistoryError(String(body.detail ?? body.title ?? `status ${answer.status}`).slice(0, 500), answer.status);
  if (!Array.isArray(body.events)) throw new HistoryError('no page of a history', 0);
  const { events: entries, next, unread } = body;
  const events = entries.map(pickHistoryEvent).filter((e): e is HistoryEvent => e !== undefined);
  if (events.length < entries.length) source.report('malformed', 'in the history');
  return { events, ...(isEventId(next) && { next }), ...(isNumber(unread) && { unread }) };
}
