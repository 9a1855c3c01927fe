// The connection of the console: one client of the documented contract, which knows
// nothing of the page.

// Close codes of internal/wire/errors.json that stop a client, in a person's words.
const STOPPED = {
  1000: 'The server said goodbye.',
  4400: 'The server refused a parameter of the connection. Sign in again to start afresh.',
  4401: 'The token was refused: it is wrong, expired or revoked. Sign in again.',
  4403: 'An operator ended this session.',
};
const HELLO_TIMEOUT = 10_000, PING_EVERY = 20_000, PONG_TIMEOUT = 10_000;
const BACKOFF_FIRST = 500, BACKOFF_MOST = 30_000; // milliseconds

// How far the server's clock is ahead of ours. A Date header tells it to the second;
// the clocks are taken to agree unless one of them proves otherwise.
export const clock = {
  low: -Infinity, high: Infinity,
  note(response, sent) {
    const date = Date.parse(response.headers.get('Date') ?? '');
    if (Number.isNaN(date)) return;
    this.low = Math.max(this.low, date - Date.now());
    this.high = Math.min(this.high, date + 1000 - sent);
  },
  server(time) {
    if (this.low > this.high) this.low = this.high; // somebody set a clock meanwhile
    return time + Math.min(Math.max(0, this.low), this.high);
  },
};

// A session that comes back by itself. hooks: token(), cursor.load(), cursor.save(text),
// topics(), onState(name, detail), onFrame(frame, dialled).
export class Connection {
  constructor(hooks) {
    this.hooks = hooks;
    this.attempt = 0;
    addEventListener('online', () => this.hurry());
    document.addEventListener('visibilitychange', () => document.hidden || this.hurry());
  }

  open() {
    this.detach();
    const query = new URLSearchParams({ token: this.hooks.token() });
    const cursor = this.hooks.cursor.load(), topics = this.hooks.topics();
    if (cursor) query.set('cursor', cursor);
    if (topics.length) query.set('topics', topics.join(','));
    this.dialled = Date.now();
    this.state('connecting');
    const ws = new WebSocket(`${location.protocol === 'https:' ? 'wss:' : 'ws:'}//${location.host}/api/v1/ws?${query}`);
    this.ws = ws;
    ws.onmessage = (e) => ws === this.ws && this.receive(e.data);
    ws.onclose = (e) => ws === this.ws && this.closed(e.code);
    this.within(HELLO_TIMEOUT);
  }

  // cut ends the connection on purpose; it stays so until open().
  cut() {
    this.detach();
    this.state('cut');
  }

  stop() {
    this.detach();
    this.state('idle');
  }

  send(frame) {
    if (this.name === 'live') this.ws.send(JSON.stringify(frame));
  }

  // detach forgets the socket, whatever it still has to say, and every timer.
  detach() {
    for (const timer of ['watchdog', 'retry', 'beat', 'renewal']) clearTimeout(this[timer]);
    const ws = this.ws;
    this.ws = null;
    ws?.close();
  }

  state(name, detail = {}) {
    this.name = name;
    this.hooks.onState(name, detail);
  }

  // within gives the server some time to answer; a dead line is left, not waited for.
  within(ms) {
    clearTimeout(this.watchdog);
    this.watchdog = setTimeout(() => { this.detach(); this.closed(1006); }, ms);
  }

  receive(text) {
    let frame;
    try { frame = JSON.parse(text); } catch { return; }
    if (typeof frame?.type !== 'string') return;
    switch (frame.type) {
      case 'hello': this.hello(frame); break;
      case 'pong': this.pong(); break;
      case 'reconnect': this.move(frame.after_ms); break;
    }
    this.hooks.onFrame(frame, this.dialled);
    if (frame.cursor) this.hooks.cursor.save(frame.cursor); // after it was handled
  }

  hello(frame) {
    clearTimeout(this.watchdog);
    this.attempt = 0;
    this.movedUntil = 0;
    this.state('live', frame);
    this.ping();
    clearTimeout(this.renewal);
    if (this.hooks.renew) {
      const left = frame.expires * 1000 - clock.server(Date.now()) - 60_000;
      this.renewal = setTimeout(() => this.send({ type: 'auth', token: this.hooks.token() }), Math.min(Math.max(left, 1000), 2 ** 31 - 1));
    }
  }

  ping() {
    clearTimeout(this.beat);
    this.pinged = performance.now();
    this.send({ type: 'ping' });
    this.within(PONG_TIMEOUT);
  }

  pong() {
    clearTimeout(this.watchdog);
    this.hooks.onRoundTrip(performance.now() - this.pinged);
    clearTimeout(this.beat);
    this.beat = setTimeout(() => this.ping(), PING_EVERY);
  }

  // move: this edge is about to stop; another takes over after a delay.
  move(afterMs) {
    this.movedUntil = Date.now() + afterMs;
    clearTimeout(this.retry);
    this.retry = setTimeout(() => this.open(), afterMs);
  }

  closed(code) {
    this.detach();
    if (code === 1000 || (code >= 4400 && code <= 4499)) {
      this.state('stopped', { code, text: STOPPED[code] ?? `The server closed the connection (${code}).` });
      return;
    }
    // Full jitter: clients that lost one edge do not come back as a herd.
    const most = Math.min(BACKOFF_MOST, BACKOFF_FIRST * 2 ** this.attempt++);
    const wait = Math.max(Math.random() * most, (this.movedUntil ?? 0) - Date.now());
    this.retry = setTimeout(() => this.open(), wait);
    this.state('waiting', { code, until: Date.now() + wait });
  }

  hurry() {
    if (this.name === 'waiting' && !(this.movedUntil > Date.now())) this.open();
  }
}
