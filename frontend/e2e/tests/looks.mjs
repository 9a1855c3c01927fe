// What people see: the detail, many at once, other languages, nothing that is not meant, and no barrier.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { settle, watchFrames } from '../support/in-page.mjs';
import { until } from '../support/until.mjs';
import { scenario } from '../support/world.mjs';

const axe = readFileSync(fileURLToPath(new URL('../../../test/browser/node_modules/axe-core/axe.min.js', import.meta.url)), 'utf8');

/** Fails on any accessibility violation of what a page shows now. */
async function accessible({ page }, what) {
  await until(`${what} is at rest`, async () => (await page.evaluate(settle)) === 0);
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run(globalThis.document, { resultTypes: ['violations'] }));
  assert.ok(passes.length > 5, `axe looked at too little of ${what}: ${passes.length} passes`);
  const found = violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join(' | ')}`);
  assert.deepEqual(found, [], what);
}

async function fits({ page }, what) {
  const [content, width] = await page.evaluate(() => [globalThis.document.scrollingElement.scrollWidth, globalThis.innerWidth]);
  assert.ok(content <= width, `${what}: ${content} px of content in ${width} px`);
}

for (const colorScheme of ['light', 'dark']) {
  scenario(`nothing is in anybody's way, ${colorScheme}`, async (stage) => {
    const ada = await stage.person('ada');
    const guest = await stage.open({ colorScheme });
    await guest.page.getByRole('heading', { name: 'Vibemesh' }).waitFor();
    await accessible(guest, 'the sign-in');
    for (const viewport of [{ width: 1280, height: 800 }, { width: 320, height: 640 }]) {
      const device = await stage.open({ person: ada, colorScheme, viewport });
      await accessible(device, 'the start');
      await fits(device, 'the start');
      await device.bell().click();
      const title = `At ${viewport.width}`;
      await stage.mesh.toast({ title, teaser: 'Briefly', description: 'At length.', action_label: 'Go there', action_url: 'sv://event/7' }, { user: ada.id });
      await device.toast(title).waitFor();
      await device.row(title).click();
      await device.page.getByRole('dialog').getByText('At length.').waitFor();
      await stage.mesh.toast('Above the detail', { user: ada.id });
      await device.toast('Above the detail').waitFor();
      await accessible(device, 'a detail with a toast above it');
      await device.page.keyboard.press('Escape');
      await device.page.getByRole('dialog').waitFor({ state: 'detached' });
      await accessible(device, 'the history');
      await fits(device, 'the history');
      await device.button('Settings').click();
      await device.page.getByRole('heading', { name: 'Settings' }).waitFor();
      await accessible(device, 'the settings');
      await fits(device, 'the settings');
    }
  }, { timeout: 180_000 });
}

scenario('a detail takes the focus and gives it back', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  await stage.mesh.toast({ title: 'In detail', description: 'All of it.', action_label: 'Go', action_url: 'https://example.com/there' }, { user: ada.id });
  const row = device.row('In detail');
  await row.waitFor();
  await row.focus();
  await device.page.keyboard.press('Enter');
  const dialog = device.page.getByRole('dialog');
  await dialog.waitFor();
  for (let n = 0; n < 12; n++) {
    await device.page.keyboard.press('Tab');
    const inside = await device.page.evaluate(() => !!globalThis.document.activeElement?.closest('[role=dialog]'));
    const toast = await device.page.evaluate(() => !!globalThis.document.activeElement?.closest('#vibemesh-toasts'));
    assert.ok(inside || toast, 'the focus stays in the detail');
  }
  await device.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await until('the row has the focus again', () => row.evaluate((element) => element.contains(globalThis.document.activeElement)));
});

scenario('a hundred at once do not freeze the page', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  const before = await device.unread();
  await device.page.evaluate(watchFrames);
  const titles = Array.from({ length: 100 }, (_, n) => `Burst ${String(n).padStart(3, '0')}`);
  await stage.mesh.events(titles.map((title) => ({ type: 'toast', payload: { title }, to: { user: ada.id } })));
  await device.badge(before + 100);
  const longest = await device.page.evaluate(() => globalThis.e2e.longest);
  assert.ok(longest < 1500, `the page stood still for ${Math.round(longest)} ms`);
  await device.bell().click();
  await device.button('Mark all as read').waitFor();
  // The list makes its rows as it is scrolled.
  const listed = new Set();
  await device.list().hover();
  await until('all hundred in the list', async () => {
    const rows = await device.list().locator('[data-row]').evaluateAll((all) => all.map((row) => row.getAttribute('aria-label').split('.')[0]));
    const order = rows.filter((title) => title.startsWith('Burst'));
    assert.deepEqual(order, titles.toReversed().filter((title) => order.includes(title)), 'newest first, each once');
    for (const title of order) listed.add(title);
    await device.page.mouse.wheel(0, 500);
    return listed.size === titles.length;
  });
  await device.button('Mark all as read').click();
  await device.badge(0);
});

scenario('what a payload holds is text, and leads nowhere that it should not', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  const hostile = '<img src=x onerror="globalThis.caught=1"><b>bold</b>';
  await stage.mesh.toast({ title: `Markup ${hostile}`, teaser: hostile, description: `${hostile} ${'long'.repeat(400)}` }, { user: ada.id });
  await device.row('Markup').click();
  const dialog = device.page.getByRole('dialog');
  await dialog.getByText(hostile, { exact: false }).first().waitFor();
  assert.equal(await device.page.evaluate(() => globalThis.caught), undefined);
  assert.equal(await dialog.locator('b, img').count(), 0);
  await fits(device, 'a very long word');
  await device.page.keyboard.press('Escape');
  // The API refuses such links; whoever publishes to NATS is not asked.
  await stage.mesh.events([{ type: 'note', payload: { title: 'Trap', action_url: 'javascript:globalThis.caught=1', action_label: 'Press me', image_url: 'http://example.com/a.png' }, to: { user: ada.id } }]);
  await device.row('Trap').click();
  await dialog.getByText('Trap').first().waitFor();
  assert.equal(await dialog.getByText('Press me').count(), 0, 'an action that is not allowed is not offered');
  assert.equal(await dialog.locator('img').count(), 0, 'a picture that is not https is not asked for');
});

scenario('in Danish', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada, locale: 'da-DK' });
  const before = await device.unread();
  await stage.mesh.toast('Grace kunne lide dit billede', { user: ada.id });
  await device.badge(before + 1);
  await device.list().getByText('I dag').waitFor();
  assert.equal(await device.page.evaluate(() => globalThis.document.documentElement.lang), 'da');
});

scenario('from right to left', async (stage) => {
  const ada = await stage.person('ada');
  for (const viewport of [{ width: 1280, height: 800 }, { width: 320, height: 640 }]) {
    const device = await stage.open({ person: ada, viewport });
    await device.page.evaluate(() => { globalThis.document.documentElement.dir = 'rtl'; });
    const title = `مرحبا ${viewport.width}`;
    await device.bell().click();
    await stage.mesh.toast({ title, teaser: 'السبت عند البحيرة' }, { user: ada.id });
    await device.row(title).waitFor();
    await fits(device, 'the history');
    const [bell, back] = await Promise.all([device.bell().boundingBox(), device.button('Back').boundingBox()]);
    assert.ok(bell.x < back.x, 'the header runs from right to left');
  }
});
