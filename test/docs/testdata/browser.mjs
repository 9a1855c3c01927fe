// Runs the client of docs/app-developers.md in Node, which has no browser's
// WebSocket: one is made of a plain TCP socket. Says what happens, a line each.
// Usage: node browser.mjs <file of the client> <url> <user> <title of the last event>
import { RawSession, devToken } from '../../contract/rawsocket.mjs';

const [, , file, url, user, last] = process.argv;

const store = new Map();
globalThis.localStorage = {
  getItem: (key) => store.get(key) ?? null,
  setItem(key, value) {
    if (store.size === 0) console.log('the cursor is kept');
    store.set(key, String(value));
  },
};

globalThis.WebSocket = class {
  static OPEN = 1;
  readyState = 0;

  constructor(address, protocols) {
    const u = new URL(address);
    if (u.pathname !== '/api/v1/ws') throw new Error(`connecting to ${address}`);
    this.raw = new RawSession({
      host: u.hostname, port: Number(u.port), query: u.search.slice(1),
      headers: { Origin: url, 'Sec-WebSocket-Protocol': protocols.join(', ') },
      onFrame: (frame) => {
        this.readyState = 1;
        this.onmessage({ data: JSON.stringify(frame) });
      },
      onClose: (code) => {
        this.readyState = 3;
        this.onclose({ code: code >= 1000 ? code : 1006 }); // a page does not see an HTTP status
      },
    });
  }

  send(text) { this.raw.send(JSON.parse(text)); }

  close() { this.raw.cut(); }
};

const { follow } = await import(file);
let tokens = 0;
const stop = follow({
  url, user,
  // The first token is no good: the client has to come back with a fresh one.
  getToken: async (fresh) => (tokens++ === 0 && !fresh ? 'not.a.token' : devToken(user)),
  onGap: (reason) => console.log(`gap: ${reason}`),
  onStop: (code) => console.log(`stopped with ${code}`),
  onEvent(event) {
    console.log(event.payload.title);
    if (event.payload.title === last) setTimeout(() => stop());
  },
});
