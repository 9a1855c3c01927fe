/** @jest-environment jsdom */
import { Platform } from 'react-native';
import { arrowKeys } from './arrowKeys';

const names = ['a', 'b', 'c'];

afterEach(() => jest.restoreAllMocks());
beforeEach(() => {
  jest.replaceProperty(Platform, 'OS', 'web');
  document.body.innerHTML = `<div id="list"><button id="top"></button>${names
    .map((name) => `<div><button data-row id="${name}"></button><button id="${name}-dot"></button></div>`)
    .join('')}</div>`;
});

function press(key: string, on: string) {
  document.getElementById(on)?.focus();
  const preventDefault = jest.fn();
  arrowKeys().onKeyDown?.({ key, currentTarget: document.getElementById('list'), preventDefault });
  return { now: document.activeElement?.id, prevented: preventDefault.mock.calls.length === 1 };
}

test.each([
  ['ArrowDown', 'a', 'b'], ['ArrowUp', 'b', 'a'], ['End', 'a', 'c'], ['Home', 'c', 'a'], ['ArrowDown', 'a-dot', 'b'], ['ArrowUp', 'c-dot', 'b'],
])('%s goes from %s to %s', (key, from, to) => {
  expect(press(key, from)).toEqual({ now: to, prevented: true });
});

test.each([['ArrowUp', 'a'], ['ArrowDown', 'c'], ['End', 'c'], ['Home', 'a'], ['Enter', 'a'], ['x', 'b'], ['ArrowDown', 'top']])(
  '%s leaves %s alone',
  (key, from) => {
    expect(press(key, from)).toEqual({ now: from, prevented: false });
  },
);

test('a device has no such keys', () => {
  jest.replaceProperty(Platform, 'OS', 'ios');
  expect(arrowKeys()).toEqual({});
});
