// A live session gets another token before its own ends.
import { describe, expect, it, vi } from 'vitest';
import { FakeSocket, fakeTime, hello, live, make, pass } from './fake.js';

fakeTime();

const seconds = () => Math.floor(Date.now() / 1000);
const auth = (socket: FakeSocket) => socket.frames.filter((f) => f.type === 'auth').map((f) => f.token);

/** A client with a token that ends after some seconds, at a server that is never silent. */
async function session(lasts: number, token?: (fresh: boolean) => Promise<string>) {
  let n = 1;
  const provider = vi.fn(token ?? (async (fresh: boolean) => `T${fresh ? ++n : n}`));
  const made = make({ token: provider });
  const socket = await live(made, { expires: seconds() + lasts, ping: 3600 });
  return { made, socket, provider };
}

describe('a token', () => {
  it('is replaced a minute before it ends, again and again', async () => {
    const { made, socket } = await session(3_600);
    await pass(3_540_000 - 1);
    expect(auth(socket)).toEqual([]);
    await pass(1);
    expect(auth(socket)).toEqual(['T2']);
    socket.say(hello({ expires: seconds() + 3_600, ping: 3600 }));
    await pass(3_540_000);
    expect(auth(socket)).toEqual(['T2', 'T3']);
    expect(made.client.state).toBe('live');
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('is replaced when the server says that it ends, once for many such frames', async () => {
    const { socket } = await session(3_600);
    for (let i = 0; i < 100; i++) socket.say({ type: 'auth', expires: seconds() + 60 });
    await pass();
    expect(auth(socket)).toEqual(['T2']);
    for (let i = 0; i < 100; i++) socket.say({ type: 'auth', expires: seconds() + 60 });
    await pass();
    expect(auth(socket)).toEqual(['T2']);
  });

  it('that ends at once is not replaced on and on', async () => {
    const { socket, provider } = await session(-7_200);
    for (let i = 0; i < 3_600; i++) {
      await pass(1_000);
      for (const text of socket.sent.splice(0)) socket.say(text.includes('ping') ? { type: 'pong', cursor: 'C' } : hello({ expires: seconds() - 7_200 }));
    }
    // 5, 10, 20 … 600 s apart, and then each 600 s: not each 5 s of an hour.
    expect(provider.mock.calls.length).toBeGreaterThan(5);
    expect(provider.mock.calls.length).toBeLessThan(15);
  });

  it('that lasts for ever does no harm', async () => {
    const { socket } = await session(1e12);
    await pass(86_400_000 - 1);
    expect(auth(socket)).toEqual([]);
  });

  it('is asked for again when the provider fails, and when the server does not answer', async () => {
    let works = false;
    const { made, socket, provider } = await session(90, (fresh) => (works || !fresh ? Promise.resolve('T') : Promise.reject(new Error('no network'))));
    await pass(30_000);
    expect(provider).toHaveBeenCalledTimes(2);
    expect(made.of('error')).toMatchObject([{ code: 'token', message: 'no network' }]);
    works = true;
    await pass(22_500);
    expect(auth(socket)).toEqual(['T']);
    await pass(22_500);
    expect(auth(socket)).toEqual(['T', 'T']);
  });

  it('that comes too late goes to nobody', async () => {
    let give: (token: string) => void = () => {};
    const { made, socket } = await session(90, (fresh) => (fresh ? new Promise((resolve) => (give = resolve)) : Promise.resolve('T')));
    await pass(30_000);
    socket.end(1006);
    await pass(500);
    FakeSocket.last.open().say(hello());
    give('late');
    await pass();
    expect(auth(socket)).toEqual([]);
    expect(auth(FakeSocket.last)).toEqual([]);
    made.client.stop();
    expect(vi.getTimerCount()).toBe(0);
  });
});
