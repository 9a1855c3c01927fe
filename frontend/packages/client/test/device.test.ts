// Connections that die without a word, and a device that sleeps, loses its network and comes back.
import { describe, expect, it, vi } from 'vitest';
import { event, FakeEnvironment, FakeSocket, fakeTime, greet, live, make, pass } from './fake.js';

fakeTime();

describe('who is still there', () => {
  it('asks after silence, and leaves when nothing comes', async () => {
    const made = make();
    const socket = await live(made, { ping: 25 });
    await pass(24_999);
    expect(socket.sent).toEqual([]);
    await pass(1);
    expect(socket.sent).toEqual(['{"type":"ping"}']);
    await pass(9_999);
    expect(made.client.state).toBe('live');
    await pass(1);
    expect(made.client.state).toBe('waiting');
    expect(made.client.closeCode).toBe(1006);
    expect(socket.closed).toBe(1000);
  });

  it('stays while anything comes', async () => {
    const made = make();
    const socket = await live(made, { ping: 25 });
    for (let i = 0; i < 20; i++) {
      await pass(24_000);
      socket.say(event(i));
    }
    expect(socket.sent).toEqual([]);
    await pass(25_000);
    expect(socket.sent).toEqual(['{"type":"ping"}']);
    socket.say({ type: 'pong', cursor: 'C99' });
    await pass(24_999);
    expect(socket.sent).toHaveLength(1);
    await pass(1);
    expect(socket.sent).toHaveLength(2);
    expect(made.client.state).toBe('live');
  });

  it.each([[0, 5_000], [-1, 5_000], [1e9, 3_600_000]])('keeps a ping of %d s within bounds', async (ping, silence) => {
    const made = make();
    const socket = await live(made, { ping, expires: 1e10 });
    await pass(silence - 1);
    expect(socket.sent).toEqual([]);
    await pass(1);
    expect(socket.sent).toEqual(['{"type":"ping"}']);
  });

  it('is not fooled by a clock that is set back', async () => {
    const made = make();
    const socket = await live(made, { ping: 25 });
    vi.setSystemTime(Date.now() - 3_600_000);
    await pass(25_000);
    await pass(25_000);
    expect(socket.sent).toEqual(['{"type":"ping"}']);
    await pass(10_000);
    expect(made.client.state).toBe('waiting');
  });
});

describe('the device', () => {
  async function device(ping = 60) {
    const environment = new FakeEnvironment();
    const made = make({ environment });
    return { environment, made, socket: await live(made, { ping }) };
  }

  it('does not try without a network, and tries at once with one', async () => {
    const environment = new FakeEnvironment();
    environment.now = { online: false, active: true };
    const made = make({ environment });
    made.client.start();
    await pass(600_000);
    expect(made.client.state).toBe('offline');
    expect(FakeSocket.all).toHaveLength(0);
    environment.set({ online: true });
    await pass();
    await greet();
    expect(made.client.state).toBe('live');
    made.client.stop();
    expect(environment.listeners).toBe(0);
  });

  it('gives an attempt up when the network goes', async () => {
    const environment = new FakeEnvironment();
    const made = make({ environment });
    made.client.start();
    await pass();
    environment.set({ online: false });
    expect(made.client.state).toBe('offline');
    expect(FakeSocket.last.closed).toBe(1000);
    await pass(600_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('goes offline when the connection ends meanwhile, and comes back without a wait', async () => {
    const { environment, made, socket } = await device();
    environment.set({ online: false });
    expect(made.client.state).toBe('live'); // perhaps it holds
    socket.end(1006);
    expect(made.client.state).toBe('offline');
    await pass(60_000);
    environment.set({ online: true });
    await pass();
    expect(FakeSocket.all).toHaveLength(2);
    await greet();
    expect(made.of('state')).toEqual(['connecting', 'live', 'offline', 'waiting', 'connecting', 'live']);
  });

  it('looks at once whether the connection has survived another network', async () => {
    const { environment, made, socket } = await device();
    environment.set({ online: false });
    expect(socket.sent).toEqual(['{"type":"ping"}']);
    socket.say({ type: 'pong', cursor: 'C1' });
    environment.set({ online: true });
    expect(socket.sent).toHaveLength(2);
    await pass(4_000);
    expect(made.client.state).toBe('waiting');
  });

  it('keeps the connection in the background, and opens none', async () => {
    const { environment, made, socket } = await device();
    environment.set({ active: false });
    socket.say(event(1));
    expect(made.of('event')).toHaveLength(1);
    socket.end(1006);
    await pass(600_000);
    expect(made.client.state).toBe('waiting');
    expect(FakeSocket.all).toHaveLength(1);
    environment.set({ active: true });
    await pass();
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('stops a wait that goes on when the app goes to the background', async () => {
    const { environment, socket } = await device();
    socket.end(1006);
    environment.set({ active: false });
    await pass(600_000);
    expect(FakeSocket.all).toHaveLength(1);
  });

  it('asks at once in the foreground, and is quick to leave', async () => {
    const { environment, made, socket } = await device();
    environment.set({ active: false });
    await pass(30_000);
    environment.set({ active: true });
    expect(socket.sent).toEqual(['{"type":"ping"}']);
    await pass(3_999);
    expect(made.client.state).toBe('live');
    await pass(1);
    expect(made.client.state).toBe('waiting');
    await pass(500);
    expect(FakeSocket.all).toHaveLength(2);
  });

  it('is as quick when it has asked already', async () => {
    const { environment, made, socket } = await device();
    await pass(60_000);
    expect(socket.sent).toHaveLength(1);
    await pass(1_000);
    environment.set({ active: false });
    environment.set({ active: true });
    await pass(2_999);
    expect(made.client.state).toBe('live');
    await pass(1);
    expect(made.client.state).toBe('waiting');
  });

  it('does not ask on and on while conditions flap', async () => {
    const { environment, socket } = await device();
    for (let i = 0; i < 100; i++) environment.set({ active: i % 2 === 1, online: i % 3 !== 0 });
    expect(socket.sent).toHaveLength(1);
  });

  it('does not connect more than once a second while conditions flap', async () => {
    const { environment, made, socket } = await device();
    socket.end(1006);
    for (let i = 0; i < 200; i++) {
      environment.set({ online: i % 2 === 1 });
      await pass(50);
      if (FakeSocket.last.readyState === 0) FakeSocket.last.end(1006);
    }
    expect(FakeSocket.all.length).toBeGreaterThan(3);
    expect(FakeSocket.all.length).toBeLessThanOrEqual(12);
    made.client.stop();
  });
});
