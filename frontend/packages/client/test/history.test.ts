// Pages of the history over HTTP.
import { describe, expect, it, vi } from 'vitest';
import { HistoryError, type ClientOptions } from '../src/index.js';
import { event, fakeTime, idOf, make, pass } from './fake.js';
import { FakeHistory } from './fakeHistory.js';

fakeTime();

const over = (server: FakeHistory, options: Partial<ClientOptions> = {}) => make({ fetch: server.fetch as typeof fetch, ...options });

/** What a promise is rejected with. */
const failure = (promise: Promise<unknown>) => promise.then(() => Promise.reject(new Error('it did not fail')), (cause: unknown) => cause);

describe('the history', () => {
  it('comes a page at a time', async () => {
    const server = new FakeHistory().add(...[1, 2, 3, 4, 5, 6].map((n) => event(n)));
    const { client } = over(server);
    const first = await client.history({ limit: 4 });
    expect(first.events.map((e) => e.id)).toEqual([6, 5, 4, 3].map(idOf));
    expect(first.events[0]).toEqual({ type: 'toast', id: idOf(6), ts: 1_700_000_000_006, to: 'user', payload: { title: 'Event 6' }, read: false });
    expect(first.unread).toBe(6);
    const second = await client.history({ before: first.next });
    expect(second.events.map((e) => e.id)).toEqual([2, 1].map(idOf));
    expect(second).not.toHaveProperty('next');
    expect(second).not.toHaveProperty('unread');
    expect(server.asked).toEqual(['limit=4', `before=${idOf(3)}`]);
    expect(server.authorized).toEqual(['Bearer T1', 'Bearer T1']);
  });

  it('goes to the http address of the mesh', async () => {
    const get = vi.fn(async () => Response.json({ events: [] }));
    await make({ url: 'wss://mesh.example/x/', fetch: get as unknown as typeof fetch }).client.history();
    expect(get).toHaveBeenCalledWith('https://mesh.example/x/api/v1/ws/history?', expect.anything());
  });

  it('asks for another token when one is refused, once', async () => {
    const server = new FakeHistory();
    server.status = 401;
    const token = vi.fn(async (fresh: boolean) => (fresh ? 'T2' : 'T1'));
    const cause = await failure(over(server, { token }).client.history());
    expect(cause).toMatchObject({ name: 'HistoryError', status: 401, message: 'a status of 401' });
    expect(server.authorized).toEqual(['Bearer T1', 'Bearer T2']);
    const same = new FakeHistory();
    same.status = 401;
    await failure(over(same).client.history());
    expect(same.authorized).toEqual(['Bearer T1']);
  });

  it('says why it did not come', async () => {
    const server = new FakeHistory();
    server.status = 503;
    expect(await failure(over(server).client.history())).toMatchObject({ status: 503, message: 'a status of 503' });
    const broken = make({ fetch: (() => Promise.reject(new TypeError('fetch failed'))) as typeof fetch });
    const cause = await failure(broken.client.history());
    expect(cause).toBeInstanceOf(HistoryError);
    expect(cause).toMatchObject({ status: 0, cause: new TypeError('fetch failed') });
    expect(await failure(make({ token: () => Promise.reject(new Error('signed out')) }).client.history())).toMatchObject({ status: 0 });
  });

  it.each(['', 'no JSON', '[]', 'null', '{}', '{"events":{}}', '{"events":'])('is not %j', async (text) => {
    const made = make({ fetch: (async () => new Response(text)) as typeof fetch });
    expect(await failure(made.client.history())).toMatchObject({ status: 0 });
  });

  it('leaves out what is no event', async () => {
    const good = { ...event(1), read: true };
    const wrong = [{ id: 'x' }, { read: 'yes' }, { payload: [] }, { ts: 'now' }, { to: 'everybody' }];
    const events = [good, null, 7, 'x', [], {}, ...wrong.map((fields) => ({ ...good, ...fields }))];
    const made = make({ fetch: (async () => Response.json({ events, next: 7, unread: 'many' })) as typeof fetch });
    const page = await made.client.history();
    expect(page.events.map((e) => e.id)).toEqual([idOf(1)]);
    expect(page).not.toHaveProperty('next');
    expect(page).not.toHaveProperty('unread');
    expect(made.of('error')).toMatchObject([{ code: 'malformed' }]);
  });

  it('is waited for 20 s, whatever hangs', async () => {
    for (const options of [{ fetch: (() => new Promise(() => {})) as typeof fetch }, { token: () => new Promise<string>(() => {}) }]) {
      const failed = failure(make(options).client.history());
      await pass(20_000);
      expect(await failed).toMatchObject({ name: 'HistoryError', status: 0 });
    }
  });

  it('can be given up', async () => {
    const server = new FakeHistory();
    server.held = true;
    const stop = new AbortController();
    const failed = failure(over(server).client.history({ signal: stop.signal }));
    await pass();
    const why = new Error('the list is gone');
    stop.abort(why);
    server.release();
    expect(await failed).toBe(why);
  });
});
