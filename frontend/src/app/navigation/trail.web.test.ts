/** @jest-environment jsdom */
import { start } from './routes';
import { createTrail } from './trail.web';

// Going back in a browser takes a moment; its event says when it is done.
const popped = () => new Promise((done) => window.addEventListener('popstate', done, { once: true }));

function trailAt(hash = '') {
  window.history.replaceState(null, '', `/${hash}`);
  const trail = createTrail();
  return { trail, end: trail.subscribe(() => {}) };
}

test('Back and Forward of the browser walk the path', async () => {
  const { trail, end } = trailAt();
  trail.push({ screen: 'history' });
  expect(window.location.hash).toBe('#history');
  trail.push({ screen: 'history', event: '0-a-1' });
  window.history.back();
  await popped();
  expect(trail.get()).toEqual([{ screen: 'home' }, { screen: 'history' }]);
  window.history.forward();
  await popped();
  expect(trail.get().at(-1)).toEqual({ screen: 'history', event: '0-a-1' });
  end();
});

test('what comes right after a step back waits for it, and a second step back does not count', async () => {
  const { trail, end } = trailAt();
  trail.push({ screen: 'settings' });
  trail.push({ screen: 'settings', event: '0-a-1' });
  const there = popped();
  const back = jest.spyOn(window.history, 'back');
  trail.back();
  trail.back();
  trail.push({ screen: 'history' });
  await there;
  expect(back).toHaveBeenCalledTimes(1);
  expect(trail.get()).toEqual([{ screen: 'home' }, { screen: 'settings' }, { screen: 'history' }]);
  end();
});

test('a page that is opened at a screen leads back to the start', () => {
  const { trail, end } = trailAt('#settings');
  expect(trail.get()).toEqual([{ screen: 'home' }, { screen: 'settings' }]);
  trail.back();
  expect(trail.get()).toEqual(start);
  expect(window.location.hash).toBe('');
  trail.back();
  expect(trail.get()).toEqual(start);
  end();
});

test('a reload stays where it was', () => {
  const { trail, end } = trailAt();
  trail.push({ screen: 'link', link: 'sv://event/7' });
  expect(createTrail().get()).toEqual(trail.get());
  end();
});
