// The page of /docs in a real Chromium that reaches no other host: it shows every
// operation, signs in, and publishes.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { chromium } from 'playwright-core';

import { mintDev } from '../../internal/console/page/tokens.js';
import { Server } from './server.mjs';

const secret = 'a-secret-of-the-test';
const server = new Server();
let browser, page;
const refused = []; // requests to other hosts
const complaints = []; // of the page: errors, and what its policy forbids

before(async () => {
  await server.start({ WS_PUBLISH_SECRET: secret });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
  const context = await browser.newContext({ viewport: { width: 1280, height: 1000 } });
  await context.route('**/*', (route) => {
    const url = route.request().url();
    if (url.startsWith(`${server.url}/`) || url.startsWith('data:')) return route.continue();
    refused.push(url);
    return route.abort();
  });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => { if (message.type() === 'error') complaints.push(message.text()); });
  await page.goto(`${server.url}/docs`);
}, { timeout: 300_000 });

after(async () => {
  await browser?.close();
  await server.stop();
});

/** Signs in by one of the schemes, and nothing else. */
async function authorize(scheme, value) {
  await page.getByRole('button', { name: 'Authorize' }).first().click();
  const dialog = page.locator('.dialog-ux');
  for (const logout of await dialog.getByRole('button', { name: 'Remove authorization' }).all()) await logout.click();
  const form = dialog.locator('.auth-container', { hasText: new RegExp(`^\\s*${scheme}`) });
  await form.locator('input').fill(value);
  await form.getByRole('button', { name: 'Apply credentials' }).click();
  await dialog.getByRole('button', { name: 'Close', exact: true }).last().click();
}

/** Tries an operation out; answers with the status and body it shows. */
async function tryOut(id, body) {
  const block = page.locator(`.opblock[id$="-${id}"]`);
  if (!await block.locator('.opblock-body').count()) await block.locator('.opblock-summary-control').click();
  // What is in the block comes when its schemas are resolved; the button then says one of two things.
  await block.locator('.try-out__btn').first().waitFor();
  const start = block.getByRole('button', { name: 'Try it out' });
  if (await start.count()) await start.click();
  if (body) await block.locator('textarea.body-param__text').fill(JSON.stringify(body));
  const clear = block.getByRole('button', { name: 'Clear', exact: true });
  if (await clear.count()) await clear.click();
  await block.getByRole('button', { name: 'Execute' }).click();
  const live = block.locator('.live-responses-table .response');
  await live.locator('.response-col_status').waitFor();
  const status = Number.parseInt(await live.locator('.response-col_status').textContent(), 10);
  return { status, text: await live.locator('.highlight-code, pre').first().textContent() };
}

test('every operation of the document is on the page', async () => {
  const doc = await (await fetch(`${server.url}/openapi.json`)).json();
  const ids = Object.values(doc.paths).flatMap((path) => Object.values(path).map((operation) => operation.operationId));
  assert.ok(ids.length >= 14, `the document has ${ids.length} operations`);
  await page.locator('.opblock').first().waitFor();
  for (const id of ids) {
    assert.equal(await page.locator(`.opblock[id$="-${id}"]`).count(), 1, id);
  }
  assert.equal(await page.locator('.opblock').count(), ids.length);
  assert.equal(await page.getByText('Unable to render').count(), 0);
});

test('a toast is published with the secret', async () => {
  const before = await status();
  const without = await tryOut('publish-toast', { title: 'from the docs' });
  assert.equal(without.status, 401, without.text);
  await authorize('secret', secret);
  const { status: code, text } = await tryOut('publish-toast', { title: 'from the docs' });
  assert.equal(code, 201, text);
  assert.match(text, /"subject": "sv\.ws\.broadcast"/);
  assert.equal((await status()).log.messages, before.log.messages + 1);
});

test('a token signs in, too', async () => {
  const config = await (await fetch(`${server.url}/console/config.json`)).json();
  await authorize('bearer', mintDev('ada', config));
  const { status: code, text } = await tryOut('history');
  assert.equal(code, 200, text);
  assert.match(text, /from the docs/);
});

test('nothing of another host was asked for, and nothing was forbidden', async () => {
  assert.deepEqual(refused, []);
  assert.deepEqual(complaints.filter((text) => !/status of 401/.test(text)), []); // the refused publish
});

async function status() {
  const answer = await fetch(`${server.url}/api/v1/ws/status`, { headers: { 'X-SV-KEY': secret } });
  assert.equal(answer.status, 200);
  return answer.json();
}
