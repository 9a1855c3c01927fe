// The console in Debian's Chromium against the real program: what a person does in
// the first five minutes, and what must not happen.
//
//   npm ci && npm test
//
// CHROMIUM      the browser, /usr/bin/chromium unless given
// VIBEMESH_URL  a running server in dev mode; else the program is built and run here
// VIBEMESH_BIN  a program that is built already
// SCREENSHOTS   a folder for pictures; none are taken without it
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { Person } from './person.mjs';
import { Server } from './server.mjs';

const server = new Server();
const run = Date.now().toString(36); // tells this run's people and events from older ones
let browser, alice, bob;

async function picture(person, name, options = {}) {
  if (!process.env.SCREENSHOTS) return;
  mkdirSync(process.env.SCREENSHOTS, { recursive: true });
  await person.page.screenshot({ path: join(process.env.SCREENSHOTS, `${name}.png`), ...options });
}

const arrive = (options) => Person.arrive(browser, server.url, options);

before(async () => {
  await server.start();
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  alice = await arrive();
  bob = await arrive();
}, { timeout: 300_000 });

after(async () => {
  await browser?.close();
  await server.stop();
});

test('a name signs in, an empty one does not', async () => {
  await alice.page.getByRole('button', { name: 'Sign in' }).click();
  await alice.page.getByText('A name has 1 to 128 bytes.').waitFor();
  await alice.signIn(`alice-${run}`);
  await bob.signIn(`bob-${run}`);
  assert.match(await alice.page.locator('#rtt').textContent(), /^[\d.]+ ms$|–/);
  await alice.page.locator('#rtt', { hasText: 'ms' }).waitFor();
  assert.ok((await alice.page.locator('#session').textContent()).length > 1);
});

test('a toast to everybody reaches both, live', async () => {
  await alice.publish({ title: `${run} all`, teaser: 'for you and you', action_url: 'sv://a/1', action_label: 'Go' });
  for (const person of [alice, bob]) {
    await person.toast(`${run} all`);
    await person.sees(`${run} all`);
    const [event, ...more] = await person.events(`${run} all`);
    assert.deepEqual([event.from, event.audience, more.length], ['live', 'everybody', 0]);
    const link = person.page.locator('.event .action').first();
    assert.deepEqual([await link.getAttribute('href'), await link.getAttribute('rel'), await link.textContent()], ['sv://a/1', 'noopener noreferrer', 'Go']);
  }
  assert.equal(await bob.page.locator('#badge').textContent(), '1');
  await bob.page.getByRole('button', { name: /Notifications, 1 unread/ }).click();
  await bob.page.locator('#badge').waitFor({ state: 'hidden' });
});

test('a toast to bob reaches only bob', async () => {
  await alice.publish(`${run} secret`, { user: `bob-${run}` });
  await bob.toast(`${run} secret`);
  await alice.publish(`${run} fence`); // stored later: when alice has it, the other cannot come
  await alice.sees(`${run} fence`);
  assert.deepEqual(await alice.events(`${run} secret`), []);
  assert.deepEqual((await bob.events(`${run} secret`)).map((e) => e.audience), ['to you']);
});

test('a cut connection gets back exactly what it missed', async () => {
  await bob.cut();
  await picture(bob, 'cut');
  await alice.publish(`${run} missed 1`);
  await alice.publish(`${run} missed 2`, { user: `bob-${run}` });
  await alice.publish(`${run} missed x`, { user: `carol-${run}` });
  await alice.publish(`${run} missed 3`);
  assert.deepEqual(await bob.events(`${run} missed`), []);
  await bob.reconnect();
  await bob.sees(`${run} missed 3`);
  await alice.publish(`${run} after`);
  await bob.sees(`${run} after`);
  assert.deepEqual((await bob.events(`${run} missed`)).map((e) => [e.title, e.replayed]),
    [1, 2, 3].map((n) => [`${run} missed ${n}`, true]));
  assert.deepEqual((await bob.events(`${run} after`)).map((e) => e.replayed), [false]);
});

test('a topic reaches who joined it, also after a reconnect', async () => {
  await bob.page.getByLabel('Topics', { exact: true }).fill(`chess-${run}`);
  await bob.page.getByRole('button', { name: 'Join' }).click();
  await bob.page.getByRole('button', { name: `Leave chess-${run}` }).waitFor();
  // The answer to a ping comes after the answer to what was sent before it; a
  // session that reconnects has joined when it says hello.
  await bob.cut();
  await bob.reconnect();
  await alice.publish(`${run} gambit`, { topic: `chess-${run}` });
  await bob.toast(`${run} gambit`);
  assert.equal((await bob.events(`${run} gambit`))[0].audience, `topic chess-${run}`);
  await alice.publish(`${run} fence 2`);
  await alice.sees(`${run} fence 2`);
  assert.deepEqual(await alice.events(`${run} gambit`), []);
});

test('a reload resumes from the cursor and loads the history', async () => {
  await bob.cut();
  await alice.publish(`${run} reload`);
  await bob.page.reload();
  await bob.live();
  await bob.sees(`${run} reload`);
  await bob.sees(`${run} all`); // from the history: the page itself has forgotten it
  assert.deepEqual((await bob.events(`${run} reload`)).length, 1);
  assert.deepEqual((await bob.events(`${run} all`)).map((e) => e.from), ['history']);
});

test('a killed server loses nothing and repeats nothing', { skip: server.ours ? false : 'the server at VIBEMESH_URL is not ours to kill' }, async () => {
  await alice.cut();
  await bob.publish(`${run} kill 1`);
  await bob.publish(`${run} kill 2`, { user: `alice-${run}` });
  await server.kill();
  await bob.page.locator('#pill[data-state="waiting"]').waitFor();
  await server.start();
  await bob.page.locator('#pill[data-state="live"]').waitFor({ timeout: 60_000 }); // by itself
  await bob.publish(`${run} kill 3`);
  await alice.reconnect();
  await alice.sees(`${run} kill 3`);
  await bob.publish(`${run} kill 4`);
  for (const person of [alice, bob]) await person.sees(`${run} kill 4`);
  assert.deepEqual((await alice.events(`${run} kill`)).map((e) => [e.title.at(-1), e.replayed]), [['1', true], ['2', true], ['3', true], ['4', false]]);
  assert.deepEqual((await bob.events(`${run} kill`)).map((e) => e.title.at(-1)), ['1', '3', '4']);
  for (const person of [alice, bob]) {
    const ids = (await person.events('')).map((e) => e.id);
    assert.equal(new Set(ids).size, ids.length, 'an event is there twice');
  }
});

test('every wrong field is marked, and nothing is published', async () => {
  await alice.fill({ image_url: 'http://a/b.png', action_url: 'javascript:alert(1)', action_label: 'x'.repeat(81) }, { user: 'x'.repeat(129) });
  const page = alice.page;
  for (const [id, text] of [['title', /empty/], ['image_url', /https/], ['action_url', /https/], ['action_label', /81 characters/], ['to', /128 bytes/]]) {
    await page.locator(`#${id}[aria-invalid="true"]`).waitFor();
    assert.match(await page.locator(`#${id}-error`).textContent(), text);
  }
  assert.equal(await page.locator('#teaser').getAttribute('aria-invalid'), null);
  assert.equal(await page.evaluate(() => document.activeElement.id), 'to', 'the first wrong field has the focus');
  await picture(alice, 'errors', { fullPage: true });
  await alice.accessible('with errors');
  await alice.publish(`${run} right`);
  assert.equal(await page.locator('[aria-invalid="true"]').count(), 0);
});

test('a payload is text, whatever is in it', async () => {
  const markup = `${run} <img src=x onerror="globalThis.pwned=1"><script>globalThis.pwned=1</script>`;
  await alice.publish({ title: markup, teaser: markup, description: markup, image_url: 'https://127.0.0.1:1/x.png"onerror="globalThis.pwned=1', action_label: '<b onclick="globalThis.pwned=1">', action_url: 'https://example.com/"onclick="globalThis.pwned=1' });
  await bob.toast(`${run} <img src=x`);
  await bob.sees(`${run} <img src=x`);
  assert.equal((await bob.events(`${run} <img`))[0].title, markup);
  assert.equal(await bob.page.locator('#list script, #toasts script, #list [onerror], #toasts [onerror], #list [onclick]').count(), 0);
  assert.equal(await bob.page.evaluate(() => globalThis.pwned), undefined);
});

test('Escape dismisses toasts, the newest first', async () => {
  for (const n of [1, 2]) await alice.publish(`${run} esc ${n}`);
  await bob.toast(`${run} esc 2`);
  await bob.page.locator('.toast').last().getByRole('button', { name: `Dismiss: ${run} esc 2` }).focus(); // the clock stands still
  await bob.page.keyboard.press('Escape');
  await bob.page.locator('.toast', { hasText: `${run} esc 2` }).waitFor({ state: 'detached' });
  assert.match(await bob.page.evaluate(() => document.activeElement.ariaLabel), /^Dismiss: /, 'the focus stays in the stack');
  while (await bob.page.locator('.toast').count()) {
    await bob.page.keyboard.press('Escape');
    await bob.page.locator('.toast.leaving').last().waitFor({ state: 'detached' });
  }
  await bob.sees(`${run} esc 1`); // it is still in the list
});

test('light, dark and narrow: no violations, nothing overflows', async () => {
  const looks = { light: { colorScheme: 'light' }, dark: { colorScheme: 'dark' }, phone: { viewport: { width: 360, height: 780 }, hasTouch: true } };
  for (const [look, options] of Object.entries(looks)) {
    const person = await arrive(options);
    await person.page.getByLabel('Name').waitFor();
    await person.accessible(`${look}, signed out`);
    await person.fits(`${look}, signed out`);
    await picture(person, `welcome-${look}`);
    await person.signIn(`dana-${look}-${run}`);
    await alice.publish({ title: 'Sunset session at the lake', teaser: 'Ada, Grace and 12 others are going.', description: 'Bring a blanket.', action_label: 'Count me in', action_url: 'sv://event/lake' });
    await alice.publish({ title: 'Grace accepted your invitation', teaser: 'You can chat now.' }, { user: `dana-${look}-${run}` });
    await person.toast('Grace accepted');
    await person.page.locator('.toast button').last().focus(); // the clock stands still
    await person.accessible(`${look}, signed in`);
    await person.fits(`${look}, signed in`);
    await picture(person, `console-${look}`);
    await person.leave();
  }
});

test('the keyboard reaches the content at once', async () => {
  const person = await arrive();
  await person.page.getByLabel('Name').waitFor();
  await person.page.keyboard.press('Tab');
  assert.equal(await person.page.evaluate(() => document.activeElement.textContent), 'Skip to content');
  await person.page.keyboard.press('Enter');
  assert.equal(await person.page.evaluate(() => document.activeElement.id), 'main');
  await person.leave();
});

// What a healthy server rarely does, from one that is made up.
test('close codes, gaps and moves are obeyed', async () => {
  const person = await arrive();
  const dialled = [];
  let script = [];
  await person.page.routeWebSocket(/\/api\/v1\/ws\?/, (ws) => {
    dialled.push(new URL(ws.url()).searchParams);
    ws.onMessage((text) => JSON.parse(text).type === 'ping' && ws.send('{"type":"pong","cursor":"c-pong"}'));
    for (const step of script.shift() ?? []) typeof step === 'number' ? ws.close({ code: step }) : ws.send(typeof step === 'string' ? step : JSON.stringify(step));
  });
  const hello = (cursor) => ({ type: 'hello', session: 's', node: 'n', cursor, resumed: false, ping: 60, expires: Math.floor(Date.now() / 1000) + 3600 });
  const event = (id, payload, type = 'toast') => ({ type, id, cursor: `c-${id}`, ts: Date.now() + 1000, to: 'broadcast', payload });
  script = [
    [hello('c-0'), 'not JSON', '[]', 'null', event('e1', { title: `${run} once` }), event('e1', { title: `${run} once` }), 4001],
    [hello('c-1'), { type: 'gap', reason: 'limit', cursor: 'c-gap' }, event('e1', { title: `${run} once` }),
      event('e2', { title: `${run} links`, action_url: 'javascript://%0aalert(1)', image_url: 'http://a/b.png' }),
      event('e3', { any: '<b>thing</b>', action_url: 'data://x' }, `note.${run}`), event('e4', null), { type: 'reconnect', after_ms: 50 }, 1012],
    [hello('c-2'), 4403],
  ];
  await person.page.getByLabel('Name').fill(`erin-${run}`);
  await person.page.getByRole('button', { name: 'Sign in' }).click();
  await person.page.getByText('An operator ended this session.').waitFor();
  assert.equal(dialled.length, 3, 'after 4001 and 1012 it comes back, after 4403 it does not');
  assert.deepEqual(dialled.slice(0, 2).map((q) => q.get('cursor')), [null, 'c-e1']);
  assert.equal(dialled[2].get('cursor'), 'c-e4');
  assert.equal((await person.events(`${run} once`)).length, 1);
  await person.page.getByText('You missed more than one resume replays').waitFor();
  const order = await person.page.locator('#list > li').evaluateAll((rows) => rows.map((row) => row.textContent));
  const at = (text) => order.findIndex((row) => row.includes(text));
  assert.ok(at(`${run} links`) < at('Gap.') && at('Gap.') < at(`${run} once`), `the gap is between what was seen and what follows: ${order.slice(0, 5)}`);
  const row = person.page.locator('.event', { hasText: `${run} links` });
  assert.equal(await row.locator('a, img').count(), 0, 'neither the link nor the picture is safe');
  assert.equal(await person.page.locator('.event', { hasText: `note.${run}` }).locator('a, b').count(), 0);
  await picture(person, 'stopped');
  await person.accessible('stopped, with a gap');
  script = [[hello('c-3')]];
  await person.page.getByRole('button', { name: 'Reconnect' }).click(); // a person may try again
  await person.live();
  await person.leave();
});

test('no page has logged an error', async () => {
  await alice.leave();
  await bob.leave();
});
