// Languages, directions and narrow windows.
import assert from 'node:assert/strict';
import { scenario } from '../support/world.mjs';
import { words } from '../support/words.mjs';

const toast = {
  title: 'A rather long headline of an event that takes more than a line', teaser: 'Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft',
  description: 'https://example.com/a/very/long/address/that/nothing/can/break/anywhere/and/that/goes/on/and/on', action_label: 'Take part in it',
  action_url: 'sv://event/7',
};

/** Walks through the whole app, and looks at each screen. */
async function everywhere(stage, options, look) {
  const guest = await stage.open(options);
  const { page } = guest;
  await page.getByRole('heading', { name: 'Vibemesh' }).waitFor();
  await look(guest, 'the sign-in');
  guest.person = await stage.person('ada.with.a.long.address');
  await guest.signIn();
  await look(guest, 'the start, without anything');
  await stage.mesh.toast(toast, { user: guest.person.id });
  await guest.toast(toast.title).waitFor();
  await look(guest, 'the start, with a toast');
  await guest.dismissAll();
  await guest.bell().click();
  await guest.row('A rather long').waitFor();
  await look(guest, 'the list');
  await guest.row('A rather long').click();
  await page.getByRole('dialog').getByText('example.com').waitFor();
  await look(guest, 'a detail');
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await guest.button(guest.words.settings).click();
  await page.getByRole('radiogroup', { name: guest.words.language }).waitFor();
  await look(guest, 'the settings');
}

const turn = () => { globalThis.document.documentElement.dir = 'rtl'; };
const sizes = [{ width: 320, height: 640 }, { width: 1280, height: 800 }];

for (const viewport of sizes) {
  for (const locale of ['en-GB', 'da-DK']) {
    scenario(`everything fits into ${viewport.width} px, ${locale}`, (stage) => (
      everywhere(stage, { viewport, locale }, (device, what) => device.fits(`${what}, ${locale}`))
    ));
  }
  scenario(`everything fits into ${viewport.width} px from right to left`, (stage) => (
    everywhere(stage, { viewport }, async (device, what) => {
      await device.page.evaluate(turn);
      await device.fits(`${what}, from right to left`);
      if (what !== 'the list') return;
      const [bell, back] = await Promise.all([device.bell().boundingBox(), device.button('Back').boundingBox()]);
      assert.ok(bell.x < back.x, 'the header runs from right to left');
    })
  ));
}

scenario('the language is the device\'s until another one is chosen', async (stage) => {
  const ada = await stage.person('ada');
  const device = await stage.open({ person: ada, locale: 'da-DK' });
  const { page } = device;
  const language = () => page.evaluate(() => globalThis.document.documentElement.lang);
  const before = await device.unread();
  await stage.mesh.toast('Grace kunne lide dit billede', { user: ada.id });
  await device.badge(before + 1);
  await device.list().getByText('I dag').waitFor();
  assert.equal(await language(), 'da');

  await device.button('Indstillinger').click();
  await page.getByRole('radio', { name: 'English' }).click();
  device.words = words.en;
  await page.getByRole('heading', { name: 'Settings' }).waitFor();
  await device.badge(before + 1);
  assert.equal(await language(), 'en');
  await page.reload();
  await device.live();
  await page.getByRole('radio', { name: 'English', checked: true }).waitFor();
  await device.button('Back').click();
  await device.list().getByText('Today').waitFor();
});
