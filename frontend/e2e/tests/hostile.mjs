// Payloads of whoever means harm. The API refuses the worst of them for toasts; events of other types may hold anything.
import assert from 'node:assert/strict';
import { scenario } from '../support/world.mjs';

const markup = '<img src=x onerror="globalThis.caught=1"><script>globalThis.caught=1</script><b>bold</b> {{1+1}} ${1+1}';

const label = '<b onclick="globalThis.caught=1">Press</b>';

const traps = {
  script: 'javascript:globalThis.caught=1', capital: 'JaVaScRiPt:globalThis.caught=1', slashes: 'javascript://x.example/%0aglobalThis.caught=1',
  spaced: ' javascript:globalThis.caught=1', broken: 'java\nscript:globalThis.caught=1', plain: 'http://trap.example/', data: 'data:text/html,<b>x</b>',
  file: 'file:///etc/passwd', relative: '//trap.example/', userinfo: 'https://good.example@trap.example/', backslash: 'https:\\\\trap.example',
  intent: 'intent://trap#Intent;end', number: 7, object: { toString: 'x' },
};

/** Notes what the page asks of the web, and what it opens. */
function watch(device) {
  const asked = [];
  device.context.on('request', (request) => !request.url().startsWith('http://127.0.0.1') && !request.url().startsWith('data:') && asked.push(request.url()));
  device.context.on('page', (page) => asked.push(`a new page: ${page.url()}`));
  return asked;
}

scenario('what a payload holds is shown as text', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  const asked = watch(device);
  await stage.mesh.toast({ title: `Markup ${markup}`, teaser: markup, description: `${markup}\n${'w'.repeat(3000)}`, action_label: label, action_url: 'https://example.com/' }, { user: ada.id });
  await device.toasts().getByText(markup).first().waitFor();
  const row = device.row('Markup');
  await row.getByText(`Markup ${markup}`, { exact: true }).waitFor();
  await row.click();
  const dialog = device.page.getByRole('dialog');
  await dialog.getByRole('heading', { name: `Markup ${markup}` }).waitFor();
  await device.button(label, dialog).waitFor();
  const made = device.page.locator('#root, [role=dialog]').locator('b, script, img[onerror], [onerror], [onclick], iframe');
  assert.equal(await made.count(), 0);
  await device.fits('a very long word');
  assert.equal(await device.page.evaluate(() => globalThis.caught), undefined);
  assert.deepEqual(asked, []);
});

scenario('an address that is not allowed is never opened', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada, viewport: { width: 1280, height: 1400 }, reducedMotion: 'reduce' });
  const asked = watch(device);
  const names = Object.keys(traps);
  await stage.mesh.events(names.map((name) => ({
    type: 'note', to: { user: ada.id },
    payload: { title: `Trap ${name}`, action_label: 'Press me', action_url: traps[name], image_url: traps[name] },
  })));
  await device.row(`Trap ${names.at(-1)}`).waitFor();
  await device.noToasts();
  const here = device.page.url();
  const dialog = device.page.getByRole('dialog');
  for (const name of names) {
    await device.row(`Trap ${name}`).click();
    await dialog.getByRole('heading', { name: `Trap ${name}` }).waitFor();
    const buttons = await dialog.getByRole('button').evaluateAll((all) => all.map((button) => button.getAttribute('aria-label')));
    assert.deepEqual(buttons, ['Close', 'Mark as unread'], `${name}: there is nothing to press`);
    assert.equal(await dialog.locator('a, img').count(), 0, name);
    await device.page.keyboard.press('Escape');
    await dialog.waitFor({ state: 'detached' });
  }
  assert.equal(await device.page.evaluate(() => globalThis.caught), undefined);
  assert.equal(device.page.url(), here);
  assert.deepEqual(asked, []);
});

scenario('events without anything to show do no harm', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada });
  const before = await device.unread();
  const payloads = [{}, { title: null }, { title: 7 }, { title: '   ' }, { title: ['x'] }, { title: '\u202Egnp.exe\u0000' }];
  await stage.mesh.events(payloads.map((payload) => ({ type: 'note', payload, to: { user: ada.id } })));
  await stage.mesh.toast('After them', { user: ada.id });
  await device.toast('After them').waitFor();
  await device.badge(before + payloads.length + 1); // what the server counts is in the list, if only as a line without words
  await device.row('gnp.exe').waitFor();
});
