import { backward, current, fragmentOf, onward, parsePath, pathOf, routeOf, start } from './routes';
import { createTrail } from './trail';

test('a person goes on and comes back', () => {
  const history = onward(start, { screen: 'history' }).path;
  const event = onward(history, { screen: 'history', event: '0-a-1' });
  expect(event.replace).toBe(false);
  const other = onward(event.path, { screen: 'history', event: '0-a-2' });
  expect(other.replace).toBe(true);
  expect(current(other.path)).toEqual({ screen: 'history', event: '0-a-2' });
  expect(onward(other.path, { screen: 'settings' })).toEqual({ path: [...history, { screen: 'settings' }], replace: true });
  expect(backward(other.path)).toEqual(history);
  expect(backward(history)).toEqual(start);
  expect(backward(start)).toBeUndefined();
});

test('what a browser kept may be anything', () => {
  const path = [{ screen: 'home' }, { screen: 'history', event: '0-a-1' }];
  expect(parsePath(JSON.parse(JSON.stringify(path)))).toEqual(path);
  for (const kept of [undefined, null, 7, 'home', {}, [], [null], [{ screen: 'cellar' }], [{ screen: 'link' }], [{ screen: 'link', link: 'https://evil.example' }], [{ screen: 'home' }, 7]]) expect(parsePath(kept)).toBeUndefined();
  expect(parsePath([{ screen: 'home', event: 7, more: 1 }])).toEqual([{ screen: 'home' }]);
});

test('an address of the app leads to what it is about, and no other address does', () => {
  expect(routeOf('sv://event/7')).toEqual({ screen: 'link', link: 'sv://event/7' });
  expect([null, '', 'https://mesh.example', 'svx://event/7', 'sv:event', 'javascript:alert(1)'].map(routeOf)).toEqual(Array(6).fill(undefined));
});

test('an address names a screen', () => {
  expect(fragmentOf({ screen: 'home' })).toBe('');
  expect(pathOf(fragmentOf({ screen: 'settings' }))).toEqual([{ screen: 'home' }, { screen: 'settings' }]);
  expect(pathOf('#cellar')).toEqual(start);
});

test('a trail tells of each step, and ends at its start', () => {
  const trail = createTrail();
  const moved = jest.fn();
  const end = trail.subscribe(moved);
  trail.push({ screen: 'settings' });
  trail.back();
  trail.back();
  expect(moved).toHaveBeenCalledTimes(2);
  expect(trail.get()).toEqual(start);
  trail.push({ screen: 'history' });
  trail.push({ screen: 'history', event: '0-a-1' });
  trail.reset();
  expect(trail.get()).toEqual(start);
  end();
  trail.push({ screen: 'history' });
  expect(moved).toHaveBeenCalledTimes(5);
});
