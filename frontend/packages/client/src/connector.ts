// Connects, and comes back: when to try, with which token, and when not to. What is said on a
// connection is not its business.

import { createBackoff, SETTLED } from './backoff.js';
import { CloseCode, retryAfterClose } from './codes.gen.js';
import type { Report } from './listeners.js';
import type { ServerFrame } from './frames.js';
import { openLink, type Link } from './link.js';
import type { ClientOptions, Conditions, ConnectionState, WebSocketCtor } from './types.js';

/** Attempts that nothing but the network or the app's coming back asks for are so far apart, in milliseconds. */
const APART = 1_000;

/** The longest wait that the server can ask for, in milliseconds. */
const LONGEST_MOVE = 300_000;

export interface ConnectorUser {
  /** Gives a token, or rejects, in time. */
  token(fresh: boolean): Promise<string>;
  /** Resolves, soon, when the address of a connection can be told. */
  ready(): Promise<void>;
  url(): string;
  frame(frame: ServerFrame): void;
  state(state: ConnectionState): void;
  /** A link that was there is no more. */
  lost(): void;
  report: Report;
}

export interface Connector {
  state(): ConnectionState;
  closeCode(): number | undefined;
  /** The connection, once hello has come. */
  live(): Link | undefined;
  start(): void;
  stop(): void;
  /** Hello has come: the token counts, and the other side may be silent for so many seconds. */
  greeted(ping: number): void;
  /** The server asks to move to another edge after so many milliseconds. */
  move(after: number): void;
}

export function createConnector(options: ClientOptions, user: ConnectorUser): Connector {
  const backoff = createBackoff();
  let state: ConnectionState = 'stopped';
  let closeCode: number | undefined;
  let conditions: Conditions = { online: true, active: true };
  let unsubscribe: (() => void) | undefined;
  let refused: string | undefined; // the token that the last session ended over
  let tried = -Infinity; // when the last attempt began
  let timer: ReturnType<typeof setTimeout> | undefined;

  // Of one attempt and the connection that it leads to.
  let attempt = 0; // what an attempt that is over still brings is not taken
  let link: Link | undefined;
  let since: number | undefined; // hello came at
  let moving: ReturnType<typeof setTimeout> | undefined;

  function set(next: ConnectionState): void {
    if (next === state) return;
    state = next;
    user.state(next);
  }

  /** Ends the attempt, and the connection if there is one. */
  function drop(): void {
    attempt++;
    clearTimeout(timer);
    clearTimeout(moving);
    if (Date.now() - (since ?? Infinity) >= SETTLED) backoff.reset();
    const was = link;
    link = since = moving = undefined;
    was?.close();
    if (was) user.lost();
  }

  /** Tries again after a while; how long, the backoff says. */
  function later(wait?: number): void {
    drop();
    wait ??= backoff.next();
    if (!conditions.online) return set('offline');
    if (conditions.active) timer = setTimeout(() => void connect(), wait);
    set('waiting');
  }

  async function connect(): Promise<void> {
    drop();
    const mine = attempt;
    tried = Date.now();
    set('connecting');
    const [token] = await Promise.all([user.token(refused !== undefined).catch(() => undefined), user.ready()]);
    if (mine !== attempt) return;
    if (token === undefined) return later();
    if (token === refused) return refuse();
    try {
      const Socket = options.WebSocket ?? (globalThis as { WebSocket?: WebSocketCtor }).WebSocket;
      if (!Socket) throw new TypeError('there is no WebSocket');
      link = openLink(Socket, user.url(), token, {
        frame: (frame) => mine === attempt && user.frame(frame),
        ended: (code) => mine === attempt && ended(code, token),
        report: user.report,
      });
    } catch (cause) {
      user.report('socket', cause);
      later();
    }
  }

  function ended(code: number, token: string): void {
    closeCode = code;
    const retry = retryAfterClose(code);
    if (code === CloseCode.Token) refused = token;
    else if (retry === 'never') return stop();
    else if (retry === 'changed') return refuse();
    later();
  }

  /** Leaves an edge that stops: at once, but not when sent on and on. */
  function leave(): void {
    closeCode = CloseCode.Drain;
    drop();
    later(backoff.next(true));
  }

  function refuse(): void {
    drop();
    set('refused');
  }

  function changed(next: Conditions): void {
    const was = conditions;
    conditions = next;
    const back = (next.online && !was.online) || (next.active && !was.active);
    if (state === 'live') {
      // Another network, or a sleep: the connection may have died without a word.
      if (back || !next.online) link?.check();
    } else if (state === 'connecting') {
      if (!next.online) later(0);
    } else if (state === 'waiting' || state === 'offline') {
      if (!next.online || !next.active) later(0);
      else if (back) later(Math.max(0, tried + APART - Date.now()));
    }
  }

  function stop(): void {
    drop();
    unsubscribe?.();
    set('stopped');
  }

  return {
    state: () => state,
    closeCode: () => closeCode,
    live: () => (since === undefined ? undefined : link),
    start() {
      if (state !== 'stopped' && state !== 'refused') return;
      unsubscribe?.();
      conditions = { online: true, active: true };
      unsubscribe = options.environment?.subscribe(changed);
      if (conditions.online && conditions.active) void connect();
      else later(0);
    },
    stop,
    greeted(ping) {
      refused = undefined;
      link?.quiet(ping);
      since ??= Date.now();
      set('live');
    },
    move(after) {
      moving ??= setTimeout(leave, Math.min(after, LONGEST_MOVE));
    },
  };
}
