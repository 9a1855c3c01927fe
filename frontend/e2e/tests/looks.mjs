// No barrier, in any screen, colour and size.
import { accessible } from '../support/axe.mjs';
import { scenario } from '../support/world.mjs';

const sizes = { desktop: { width: 1280, height: 800 }, phone: { width: 320, height: 640 } };

for (const colorScheme of ['light', 'dark']) {
  for (const [size, viewport] of Object.entries(sizes)) {
    scenario(`nothing is in anybody's way, ${size}, ${colorScheme}`, async (stage) => {
      const ada = await stage.person('ada');
      const device = await stage.open({ colorScheme, viewport });
      const { page } = device;
      await page.getByRole('heading', { name: 'Vibemesh' }).waitFor();
      await accessible(device, 'the sign-in');
      device.person = ada;
      await device.signIn();
      await accessible(device, 'the start, without anything');

      const event = { title: 'In detail', teaser: 'Briefly', description: 'At length.', action_label: 'Go there', action_url: 'sv://event/7' };
      await stage.mesh.toast(event, { user: ada.id });
      await device.toast('In detail').focus(); // its time stands still
      await accessible(device, 'the start, with a toast');
      await page.keyboard.press('Enter');
      await page.getByRole('dialog').getByText('At length.').waitFor();
      await stage.mesh.toast('Above the detail', { user: ada.id });
      await device.toast('Above the detail').focus();
      await accessible(device, 'a detail with a toast above it');
      await page.keyboard.press('Escape'); // the toast
      await device.toast('Above the detail').waitFor({ state: 'detached' });
      await page.keyboard.press('Escape'); // the detail
      await page.getByRole('dialog').waitFor({ state: 'detached' });

      await device.bell().click();
      await device.row('Above the detail').waitFor();
      await accessible(device, 'the history');
      await device.button('Settings').click();
      await page.getByRole('heading', { name: 'Settings' }).waitFor();
      await accessible(device, 'the settings');
    });
  }
}
