// Connecting and coming back, by the rules of the guide for app developers.
import { describe, expect, it, vi } from 'vitest';
import { createClient } from '../src/index.js';
import { event, FakeSocket, fakeTime, greet, live, make, pass } from './fake.js';

fakeTime();

describe('the address', () => {
  it.each([
    ['https://mesh.example', 'wss://mesh.example/api/v1/ws?'],
    ['https://mesh.example/', 'wss://mesh.example/api/v1/ws?'],
    ['http://127.0.0.1:8080', 'ws://127.0.0.1:8080/api/v1/ws?'],
    ['wss://mesh.example', 'wss://mesh.example/api/v1/ws?'],
    ['WS://mesh.example/folder/', 'ws://mesh.example/folder/api/v1/ws?'],
  ])('%s', async (url, expected) => {
    make({ url }).client.start();
    await pass();
    expect(FakeSocket.last.url).toBe(expected);
    expect(FakeSocket.last.protocols).toEqual(['vibemesh.v1', 'bearer.T1']);
  });

  it.each(['', 'mesh.example', 'ftp://mesh.example', 'https://', 'https://mesh.example/?a=b', 'javascript:alert(1)'])('refuses %j', (url) => {
    expect(() => make({ url })).toThrow(TypeError);
  });

  it('has what the app wants', async () => {
    make({ signals: true, unread: true, topics: ['a', 'b c', 'zoë&x', 'with,comma'] }).client.start();
    await pass();
    expect(FakeSocket.last.param('signals')).toBe('1');
    expect(FakeSocket.last.param('unread')).toBe('1');
    expect(FakeSocket.last.param('topics')).toBe('a,b c,zoë&x');
    expect(FakeSocket.last.param('cursor')).toBeNull();
  });
});

describe('a session', () => {
  it('is live once hello has come', async () => {
    const made = make();
    made.client.start();
    expect(made.client.state).toBe('connecting');
    await pass();
    FakeSocket.last.open();
    expect(made.client.state).toBe('connecting');
    await greetLast();
    expect(made.of('state')).toEqual(['connecting', 'live']);
    expect(made.of('hello')).toHaveLength(1);
  });

  async function greetLast() {
    FakeSocket.last.readyState = 0;
    await greet();
  }

  it('starts once', async () => {
    const made = make();
    await live(made);
    made.client.start();
    await pass(60_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('ends with 1000, and says nothing after that', async () => {
    const made = make();
    const socket = await live(made);
    made.client.stop();
    expect(socket.closed).toBe(1000);
    expect(made.client.state).toBe('stopped');
    const told = made.told.length;
    socket.say(event(1));
    socket.end(1000);
    await pass(120_000);
    expect(made.told).toHaveLength(told);
    expect(FakeSocket.all).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it('leaves nothing behind when it is stopped by who is told that it is live', async () => {
    const made = make();
    made.client.on('state', (state) => state === 'live' && made.client.stop());
    await live(made);
    await pass(250); // the cursor has been stored
    expect(made.client.state).toBe('stopped');
    expect(vi.getTimerCount()).toBe(0);
  });

  it('can be started again', async () => {
    const made = make();
    await live(made);
    made.client.stop();
    await live(made);
    expect(made.client.state).toBe('live');
  });

  it('stops while a token is on its way', async () => {
    const made = make();
    made.client.start();
    made.client.stop();
    await pass(60_000);
    expect(FakeSocket.all).toHaveLength(0);
    expect(made.client.state).toBe('stopped');
  });

  it('gives up on a server that does not greet', async () => {
    const made = make();
    made.client.start();
    await pass();
    FakeSocket.last.open();
    await pass(24_999);
    expect(made.client.state).toBe('connecting');
    await pass(1);
    expect(made.client.state).toBe('waiting');
    expect(made.client.closeCode).toBe(1006);
  });

  it('survives a constructor that throws, and none at all', async () => {
    const made = make({
      WebSocket: class extends FakeSocket {
        constructor(url: string) {
          super(url);
          throw new SyntaxError('not allowed here');
        }
      },
    });
    made.client.start();
    await pass();
    expect(made.client.state).toBe('waiting');
    expect(made.of('error')).toMatchObject([{ source: 'client', code: 'socket', message: 'not allowed here' }]);

    vi.stubGlobal('WebSocket', undefined);
    const other = createClient({ url: 'https://mesh.example', user: 'ada', token: async () => 'T' });
    const errors: unknown[] = [];
    other.on('error', (e) => errors.push(e));
    other.start();
    await pass();
    expect(errors).toMatchObject([{ code: 'socket', message: 'there is no WebSocket' }]);
    vi.unstubAllGlobals();
  });

  it('uses the global WebSocket', async () => {
    vi.stubGlobal('WebSocket', FakeSocket);
    createClient({ url: 'https://mesh.example', user: 'ada', token: async () => 'T' }).start();
    await pass();
    expect(FakeSocket.all).toHaveLength(1);
    vi.unstubAllGlobals();
  });
});

describe('coming back', () => {
  /** Lets each new connection fail, and tells the waits between them. */
  async function waits(n: number): Promise<number[]> {
    const found: number[] = [];
    for (let i = 0; i < n; i++) {
      const count = FakeSocket.all.length;
      FakeSocket.last.end(1006);
      const began = Date.now();
      while (FakeSocket.all.length === count) await vi.advanceTimersToNextTimerAsync();
      found.push(Date.now() - began);
    }
    return found;
  }

  it('waits for half of 1, 2, 4 … 30 s when chance is a half', async () => {
    const made = make();
    await live(made);
    expect(await waits(7)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000]);
    made.client.stop();
  });

  it('waits for anything from nothing to the limit', async () => {
    const made = make();
    await live(made);
    vi.mocked(Math.random).mockReturnValue(0);
    expect(await waits(3)).toEqual([0, 0, 0]);
    vi.mocked(Math.random).mockReturnValue(0.999);
    expect(await waits(1)).toEqual([7_992]);
    made.client.stop();
  });

  it('starts over once a session has lasted 30 s', async () => {
    const made = make();
    await live(made);
    expect(await waits(3)).toEqual([500, 1_000, 2_000]);
    await greet();
    await pass(29_999);
    expect(await waits(1)).toEqual([4_000]);
    await greet();
    await pass(30_000);
    expect(await waits(2)).toEqual([500, 1_000]);
    made.client.stop();
  });

  it('moves when it is asked to, after the time that it is told', async () => {
    const made = make();
    const socket = await live(made);
    await pass(40_000);
    socket.say({ type: 'reconnect', after_ms: 1_250 });
    socket.say(event(1)); // the edge still serves
    await pass(1_249);
    expect(FakeSocket.all).toHaveLength(1);
    expect(made.of('event')).toHaveLength(1);
    await pass(2);
    expect(FakeSocket.all).toHaveLength(2);
    expect(socket.closed).toBe(1000);
    expect(FakeSocket.last.param('cursor')).toBe('C1');
    made.client.stop();
  });

  it('does not move on and on without a pause', async () => {
    const made = make();
    const socket = await live(made);
    socket.say({ type: 'reconnect', after_ms: 0 });
    await pass(1);
    const second = await greet();
    expect(FakeSocket.all).toHaveLength(2);
    second.say({ type: 'reconnect', after_ms: 0 });
    await pass(999);
    expect(FakeSocket.all).toHaveLength(2);
    await pass(2);
    expect(FakeSocket.all).toHaveLength(3);
    made.client.stop();
  });

  it('is not parked for ever by a reconnect frame', async () => {
    const made = make();
    const socket = await live(made, { ping: 3600 });
    socket.say({ type: 'reconnect', after_ms: 1e15 }, { type: 'reconnect', after_ms: 1 });
    await pass(300_001);
    expect(FakeSocket.all).toHaveLength(2);
    made.client.stop();
  });

  it('waits as ever when the edge ends the session before that time', async () => {
    const made = make();
    const socket = await live(made);
    socket.say({ type: 'reconnect', after_ms: 40_000 });
    socket.end(1012);
    await pass(500);
    await greet();
    expect(FakeSocket.all).toHaveLength(2);
    await pass(50_000); // the new session is not asked to move
    expect(FakeSocket.all).toHaveLength(2);
    made.client.stop();
  });

  it('stops for good where a person has to do something', async () => {
    const made = make();
    const socket = await live(made);
    socket.end(4403);
    expect(made.client.state).toBe('refused');
    expect(made.client.closeCode).toBe(4403);
    await pass(600_000);
    expect(FakeSocket.all).toHaveLength(1);
    await live(made);
    expect(made.client.state).toBe('live');
    made.client.stop();
  });
});

describe('tokens', () => {
  it('asks for a fresh one after 4401, and uses it', async () => {
    const token = vi.fn(async (fresh: boolean) => (fresh ? 'T2' : 'T1'));
    const made = make({ token });
    const socket = await live(made);
    socket.end(4401);
    expect(made.client.state).toBe('waiting');
    await pass(500);
    expect(token.mock.calls).toEqual([[false], [true]]);
    expect(FakeSocket.last.protocols[1]).toBe('bearer.T2');
    await greet();
    // It counts now: the next connection asks for whatever the provider has.
    FakeSocket.last.end(1006);
    await pass(30_000);
    expect(token).toHaveBeenLastCalledWith(false);
    made.client.stop();
  });

  it('is refused when there is no other', async () => {
    const made = make();
    const socket = await live(made);
    socket.end(4401);
    await pass(500);
    expect(made.client.state).toBe('refused');
    expect(made.client.closeCode).toBe(4401);
    expect(FakeSocket.all).toHaveLength(1);
    // Nor is it tried again by start(), until there is another.
    made.client.start();
    await pass(60_000);
    expect(made.client.state).toBe('refused');
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('goes on trying when each new one is refused', async () => {
    let n = 0;
    const made = make({ token: async () => `T${n++}` });
    made.client.start();
    for (let i = 1; i <= 5; i++) {
      await pass(20_000);
      expect(FakeSocket.all).toHaveLength(i);
      FakeSocket.last.open().end(4401);
      expect(made.client.state).toBe('waiting');
    }
    made.client.stop();
  });

  it.each<[string, () => Promise<string>, number]>([
    ['throws', () => { throw new Error('at once'); }, 0],
    ['rejects', () => Promise.reject(new Error('later')), 0],
    ['gives nothing', () => Promise.resolve(''), 0],
    ['gives no text', () => Promise.resolve(7 as unknown as string), 0],
    ['hangs', () => new Promise(() => {}), 15_000],
  ])('waits when the provider %s', async (_, broken, after) => {
    let works = false;
    const made = make({ token: () => (works ? Promise.resolve('T') : broken()) });
    made.client.start();
    await pass(after);
    expect(made.client.state).toBe('waiting');
    expect(made.of('error')).toMatchObject([{ source: 'client', code: 'token', count: 1 }]);
    works = true;
    await pass(500);
    await greet();
    expect(made.client.state).toBe('live');
    made.client.stop();
  });
});
