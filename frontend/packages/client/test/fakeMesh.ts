// A mesh in small, for the random test: a log, what one person has read, sessions that resume, and a history.
import type { ReadState } from '../src/index.js';
import { event, FakeSocket, hello, idOf } from './fake.js';
import type { Random } from './random.js';

export interface Entry {
  n: number;
  ts: number;
  to: string;
  collapse: string | undefined;
  expires: number | undefined;
}

interface Mark {
  at: number;
  /** Of all up to `n`, or of `n` alone. */
  all: boolean;
  n: number;
  read: boolean;
}

const numberOf = (id: string) => parseInt(id.split('-')[2] ?? '', 36);

export class FakeMesh {
  log: Entry[] = [];
  marks: Mark[] = [];
  /** Where the log ends; read states take places in it, too. */
  head = 0;
  up = true;
  /** Most events that a resume replays. */
  replay = 15;
  pageSize = 5;
  sessions = new Set<FakeSocket>();

  constructor(readonly random: Random) {}

  publish(e: Partial<Entry>): Entry {
    const entry: Entry = { to: 'user', collapse: undefined, expires: undefined, ...e, n: ++this.head, ts: Date.now() };
    if (entry.collapse) this.log = this.log.filter((o) => o.collapse !== entry.collapse || o.to !== entry.to);
    this.log.push(entry);
    for (const s of this.sessions) s.say(this.frame(entry));
    return entry;
  }

  frame = (e: Entry) => event(e.n, { ts: e.ts, to: e.to, collapse: e.collapse, expires: e.expires });

  /** What the log still has for the person, newest first. */
  get present(): Entry[] {
    return this.log.filter((e) => (e.expires ?? Infinity) > Date.now() && !e.to.startsWith('topic:')).reverse();
  }

  isRead(n: number): boolean {
    const said = this.marks.filter((m) => (m.all ? n <= m.n : n === m.n));
    // The latest counts; of the same time a mark of one event, and of these unread.
    said.sort((a, b) => a.at - b.at || Number(b.all) - Number(a.all) || Number(b.read) - Number(a.read));
    return said.at(-1)?.read ?? false;
  }

  get unread(): number {
    return this.present.filter((e) => !this.isRead(e.n)).length;
  }

  mark(change: { up_to?: string; all?: boolean; read?: string[]; unread?: string[]; at?: number }, sent = this.head): void {
    const last = Math.max(0, ...this.marks.map((m) => m.at));
    const now = Date.now();
    const at = change.at === undefined || change.at > now ? Math.max(now, last + 1) : change.at;
    if (change.up_to) this.marks.push({ at, all: true, n: numberOf(change.up_to), read: true });
    if (change.all) this.marks.push({ at, all: true, n: sent, read: true });
    for (const id of change.read ?? []) this.marks.push({ at, all: false, n: numberOf(id), read: true });
    for (const id of change.unread ?? []) this.marks.push({ at, all: false, n: numberOf(id), read: false });
    this.head++;
    for (const s of this.sessions) s.say(this.readFrame(this.head));
  }

  get state(): ReadState {
    const all = Array.from({ length: this.head }, (_, i) => i + 1);
    const upTo = Math.max(0, ...this.marks.filter((m) => m.all).map((m) => m.n));
    const read = all.filter((n) => n > upTo && this.isRead(n)).map(idOf);
    const unread = all.filter((n) => n <= upTo && !this.isRead(n)).map(idOf);
    return { ...(upTo > 0 && { up_to: [idOf(upTo)] }), ...(read.length > 0 && { read }), ...(unread.length > 0 && { unread }) };
  }

  readFrame = (at: number) => ({ type: 'read', cursor: `C${at}`, ...this.state });

  /** Answers a connection that the client has opened. */
  accept(s: FakeSocket): void {
    const given = s.param('cursor');
    const after = given === null ? this.head : Number(given.slice(1));
    const missed = this.log.filter((e) => e.n > after && (e.expires ?? Infinity) > Date.now());
    const limited = missed.length > this.replay;
    const replayed = missed.slice(-this.replay);
    const start = limited ? (replayed[0]?.n ?? 1) - 1 : after;
    const counted = this.present.filter((e) => e.n <= start && !this.isRead(e.n)).length;
    s.open().say(hello({ cursor: limited ? given : `C${after}`, resumed: given !== null, unread: counted }));
    s.say({ ...this.readFrame(start), cursor: limited ? (given ?? '') : `C${start}` });
    if (limited) s.say({ type: 'gap', reason: 'limit', cursor: `C${start}` });
    this.sessions.add(s);
    for (const e of replayed) s.say(this.frame(e));
    s.say({ type: 'pong', cursor: `C${this.head}` });
  }

  /** Lets the client and the mesh say what they have to say. */
  turn(): void {
    for (const s of FakeSocket.all) {
      if (s.readyState === 0 && this.up) this.accept(s);
      else if (s.readyState === 0) s.end(1006);
      if (s.readyState === 3) this.sessions.delete(s);
      for (const text of s.sent.splice(0)) {
        const f = JSON.parse(text) as { type: string } & Parameters<FakeMesh['mark']>[0];
        if (s.readyState !== 1) continue;
        if (f.type === 'ping') s.say({ type: 'pong', cursor: `C${this.head}` });
        if (f.type === 'read') this.mark(f);
      }
    }
  }

  cut(): void {
    for (const s of this.sessions) s.end(1006);
    this.sessions.clear();
  }

  fetch = async (input: unknown): Promise<Response> => {
    if (!this.up || this.random.chance(0.1)) throw new TypeError('fetch failed');
    if (this.random.chance(0.1)) return Response.json({ title: 'Not now' }, { status: 503 });
    const query = new URL(String(input)).searchParams;
    const before = query.get('before');
    const entries = this.present.filter((e) => before === null || e.n < numberOf(before));
    const events = entries.slice(0, this.pageSize).map((e) => {
      const { cursor: _, ...rest } = this.frame(e);
      return { ...rest, read: this.isRead(e.n) };
    });
    const body = { events, ...(entries.length > this.pageSize && { next: events.at(-1)?.id }), ...(before === null && { unread: this.unread }) };
    await new Promise((resolve) => setTimeout(resolve, this.random.below(3) * 100));
    return Response.json(body);
  };
}
