// The detail of an event: what it shows, where it leads, and where the focus is before and after.
import assert from 'node:assert/strict';
import { until } from '../support/until.mjs';
import { scenario } from '../support/world.mjs';

const picture = '<svg xmlns="http://www.w3.org/2000/svg" width="640" height="360"><rect width="640" height="360" fill="#7fb3d5"/></svg>';
const meetup = {
  title: 'Summer meetup', teaser: 'Saturday at the lake', description: 'Bring a blanket.\n\nWe start at noon.',
  image_url: 'https://pictures.example/lake.svg', action_label: 'See the map', action_url: 'https://maps.example/lake?x=1',
};

/** Opens a device whose pictures and links lead to this test. */
async function openDevice(stage, options) {
  const prepare = async ({ context }) => {
    await context.route('https://pictures.example/**', (route) => route.fulfill({ contentType: 'image/svg+xml', body: picture }));
    await context.route('https://maps.example/**', (route) => route.fulfill({ contentType: 'text/html', body: '<title>Map</title>' }));
  };
  const device = await stage.open({ ...options, prepare });
  return { device, page: device.page, dialog: device.page.getByRole('dialog') };
}

for (const [kind, viewport] of Object.entries({ card: { width: 1280, height: 800 }, sheet: { width: 390, height: 844 } })) {
  scenario(`a toast opens its ${kind}, Escape closes it, and the focus returns`, async (stage) => {
    const ada = await stage.person('ada');
    const { device, page, dialog } = await openDevice(stage, { person: ada, viewport });
    const before = await device.unread();
    await device.bell().focus();
    await stage.mesh.toast(meetup, { user: ada.id });
    const toast = device.toast(meetup.title);
    await toast.focus(); // its time stands still
    await device.badge(before + 1);
    await page.keyboard.press('Enter');

    await dialog.getByRole('heading', { name: meetup.title }).waitFor();
    await dialog.getByText('We start at noon.').waitFor();
    await until('the picture is there', () => dialog.locator('img').first().evaluate((image) => image.complete && image.naturalWidth === 640));
    assert.equal(await dialog.getAttribute('aria-modal'), 'true');
    await until('the focus is in the dialog', () => page.evaluate(() => !!globalThis.document.activeElement.closest('[role=dialog]')));
    assert.equal(await toast.count(), 0);
    await device.badge(before);

    await page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
    const focused = () => page.evaluate(() => globalThis.document.activeElement.getAttribute('aria-label'));
    await until(`the bell has the focus, not ${await focused()}`, async () => (await focused())?.startsWith('Notifications'));
  });
}

scenario('the keyboard stays in an open detail, and comes back to its row', async (stage) => {
  const ada = await stage.person('ada');
  const { device, page, dialog } = await openDevice(stage, { person: ada });
  await stage.mesh.toast(meetup, { user: ada.id });
  const row = device.row(meetup.title);
  await row.focus();
  await page.keyboard.press('Enter');
  await dialog.waitFor();
  for (let n = 0; n < 12; n++) {
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => !!globalThis.document.activeElement?.closest('[aria-modal=true]')), 'the focus stays in the detail');
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  await until('the row has the focus again', () => row.evaluate((element) => element === globalThis.document.activeElement));
});

scenario('an action leads where it says', async (stage) => {
  const ada = await stage.person('ada');
  const { device, page, dialog } = await openDevice(stage, { person: ada });
  await stage.mesh.toast(meetup, { user: ada.id });
  await device.toast(meetup.title).click();
  const [opened] = await Promise.all([device.context.waitForEvent('page'), device.button(meetup.action_label, dialog).click()]);
  await opened.waitForLoadState();
  assert.equal(opened.url(), meetup.action_url);
  assert.equal(await opened.evaluate(() => globalThis.opener), null, 'the page that was opened cannot reach the app');
  await opened.close();
  await dialog.waitFor({ state: 'detached' });

  await stage.mesh.toast({ title: 'In the app', action_url: 'sv://event/7', action_label: 'Open the event' }, { user: ada.id });
  await device.toast('In the app').click();
  await device.button('Open the event', dialog).click();
  await dialog.waitFor({ state: 'detached' });
  await page.getByRole('heading', { name: 'sv://event/7' }).waitFor();
  await device.button('Back').click();
  await page.getByRole('heading', { name: 'Hello' }).waitFor();
  assert.equal(device.context.pages().length, 1);
});

scenario('a toast lies above an open detail, and opens in its place', async (stage) => {
  const ada = await stage.person('ada');
  const { device, page, dialog } = await openDevice(stage, { person: ada });
  await stage.mesh.toast(meetup, { user: ada.id });
  await device.row(meetup.title).click();
  await dialog.getByRole('heading', { name: meetup.title }).waitFor();
  await stage.mesh.toast('Right above', { user: ada.id });
  const toast = device.toast('Right above');
  await toast.waitFor();
  const onTop = () => toast.evaluate((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return element.contains(globalThis.document.elementFromPoint(x + width / 2, y + height / 2));
  });
  await until('nothing lies over the toast', onTop);
  assert.ok(await toast.evaluate((element) => !!element.closest('[aria-modal=true]')), 'the keyboard reaches it, too');
  await toast.click();
  await dialog.getByRole('heading', { name: 'Right above' }).waitFor();
  await device.button('Close', dialog).click();
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await page.getByRole('dialog').count(), 0);
});
