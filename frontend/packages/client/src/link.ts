// One connection: its socket, what comes in, and whether the other side is still there.

import { decodeFrame, MAX_MESSAGE, type ClientFrame, type ServerFrame } from './frames.js';
import type { Report } from './listeners.js';
import type { WebSocketCtor, WebSocketLike } from './types.js';

/** Silence after which the other side is asked, until hello has told how much, in seconds. */
const QUIET = 15;

/** How long an answer may take, in milliseconds; less when the app or the network has just come back. */
const [PATIENCE, HASTE] = [10_000, 4_000];

const OPEN = 1;

/** Who uses a link. */
export interface LinkUser {
  frame(frame: ServerFrame): void;
  /** The link has ended by itself, with a close code; 1006: it broke. Called once at most. */
  ended(code: number): void;
  report: Report;
}

export interface Link {
  send(frame: ClientFrame): boolean;
  /** Sets after how many seconds of silence to ask whether the other side is there. */
  quiet(seconds: number): void;
  /** Asks now, and waits for the answer a short time only. */
  check(): void;
  /** Ends it; `ended` is not called. */
  close(): void;
}

/** Opens a link. What the platform throws, such as at an address that it does not allow, is thrown. */
export function openLink(Socket: WebSocketCtor, url: string, token: string, user: LinkUser): Link {
  const socket: WebSocketLike = new Socket(url, ['vibemesh.v1', `bearer.${token}`]);
  let open = true;
  let quiet = QUIET * 1000;
  let since = Date.now(); // something came, or was asked for
  let asked: number | undefined; // how long the answer may take
  let timer: ReturnType<typeof setTimeout> | undefined;

  function close(): void {
    open = false;
    clearTimeout(timer);
    socket.onmessage = socket.onclose = null;
    socket.close(1000);
  }

  function end(code: number): void {
    if (!open) return;
    close();
    user.ended(code);
  }

  function send(frame: ClientFrame): boolean {
    if (socket.readyState !== OPEN) return false;
    socket.send(JSON.stringify(frame));
    return true;
  }

  function ask(patience: number): void {
    since = Date.now();
    asked = patience;
    send({ type: 'ping' });
  }

  // One timer that looks when it is time, rather than one that is set anew with each frame.
  function watch(): void {
    clearTimeout(timer);
    const now = Date.now();
    since = Math.min(since, now); // a clock that was set back must not make it wait longer
    if (!asked && now - since >= quiet) ask(PATIENCE);
    const wait = since - now + (asked ?? quiet);
    if (wait <= 0) return end(1006);
    timer = setTimeout(watch, wait);
  }

  function take(data: unknown): void {
    since = Date.now();
    asked = undefined;
    const text = typeof data === 'string' ? data : '';
    if (text.length > MAX_MESSAGE) return user.report('oversized', `${text.length} characters`);
    const frame = decodeFrame(text);
    if (frame) user.frame(frame);
    else user.report('malformed', text.slice(0, 80));
  }

  socket.onmessage = (event: { data: unknown }) => take(event.data);
  socket.onclose = (event: { code?: unknown }) => end(typeof event.code === 'number' ? event.code : 1006);
  socket.onerror = () => {}; // the close that follows says all there is to know; `ws` throws when nobody listens
  watch();

  return {
    send,
    close,
    quiet(seconds) {
      quiet = Math.min(Math.max(seconds, 5), 3600) * 1000;
      watch();
    },
    check() {
      if (socket.readyState !== OPEN) return;
      if (asked) asked = HASTE;
      else ask(HASTE);
      watch();
    },
  };
}
