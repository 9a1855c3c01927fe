// A client of the documented contract on nothing but TCP sockets: no WebSocket
// library, nothing of this repository. It stands for every client in another
// language.
import { connect } from 'node:net';
import { createHash, randomBytes } from 'node:crypto';

const magic = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455, 1.3

/** An unsigned token of the kind the Firebase Auth emulator makes. */
export function devToken(uid, project = 'demo-vibemesh') {
  const now = Math.floor(Date.now() / 1000);
  const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
  return `${part({ alg: 'none', typ: 'JWT' })}.${part({
    iss: `https://securetoken.google.com/${project}`, aud: project, sub: uid, user_id: uid,
    iat: now, auth_time: now, exp: now + 3600, firebase: { identities: {}, sign_in_provider: 'custom' },
  })}.`;
}

/** Opens a socket and calls onFrame with every text frame, parsed. */
export class RawSession {
  constructor({ host, port, query, headers = {}, onFrame, onClose }) {
    this.onFrame = onFrame;
    this.onClose = onClose;
    this.closed = false;
    this.buffer = Buffer.alloc(0);
    const key = randomBytes(16).toString('base64');
    this.accept = createHash('sha1').update(key + magic).digest('base64');
    const extra = Object.entries(headers).map(([k, v]) => `${k}: ${v}\r\n`).join('');
    this.socket = connect(port, host, () => {
      this.socket.write(
        `GET /api/v1/ws?${query} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\n` +
        `Connection: Upgrade\r\nSec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n${extra}\r\n`);
    });
    this.socket.on('data', (data) => this.#data(data));
    this.socket.on('error', () => {});
    this.socket.on('close', () => this.#end(1006, ''));
  }

  #data(data) {
    this.buffer = Buffer.concat([this.buffer, data]);
    if (!this.upgraded) {
      const end = this.buffer.indexOf('\r\n\r\n');
      if (end < 0) return;
      const head = this.buffer.subarray(0, end).toString();
      this.buffer = this.buffer.subarray(end + 4);
      this.status = Number(head.split(' ')[1]);
      if (this.status !== 101 || !head.includes(`Sec-WebSocket-Accept: ${this.accept}`)) {
        this.#end(this.status, head);
        this.socket.destroy();
        return;
      }
      this.upgraded = true;
    }
    for (;;) {
      const b = this.buffer;
      if (b.length < 2) return;
      let length = b[1] & 0x7f;
      let at = 2;
      if (length === 126) {
        if (b.length < 4) return;
        length = b.readUInt16BE(2);
        at = 4;
      } else if (length === 127) {
        if (b.length < 10) return;
        length = Number(b.readBigUInt64BE(2));
        at = 10;
      }
      if (b.length < at + length) return;
      const payload = b.subarray(at, at + length);
      this.buffer = b.subarray(at + length);
      const op = b[0] & 0x0f;
      if (op === 0x1) this.onFrame?.(JSON.parse(payload.toString()), this);
      else if (op === 0x8) this.#end(payload.length >= 2 ? payload.readUInt16BE(0) : 1005, payload.subarray(2).toString());
      else if (op === 0x9) this.#frame(0xa, payload);
    }
  }

  #frame(op, payload) {
    const mask = randomBytes(4);
    const head = payload.length < 126
      ? Buffer.from([0x80 | op, 0x80 | payload.length])
      : Buffer.from([0x80 | op, 0xfe, payload.length >> 8, payload.length & 0xff]);
    const body = Buffer.from(payload.map((c, i) => c ^ mask[i & 3]));
    this.socket.write(Buffer.concat([head, mask, body]));
  }

  send(frame) { this.#frame(0x1, Buffer.from(JSON.stringify(frame))); }

  /** Pulls the plug: no close frame, no goodbye. */
  cut() { this.closed = true; this.socket.destroy(); }

  #end(code, reason) {
    if (this.closed) return;
    this.closed = true;
    this.onClose?.(code, reason, this);
    this.socket.end();
  }
}
