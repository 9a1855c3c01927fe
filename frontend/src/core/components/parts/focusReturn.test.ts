/** @jest-environment jsdom */
import { Platform } from 'react-native';
import { createFocusReturn } from './focusReturn';

const element = (id: string) => document.getElementById(id)!;

afterEach(() => jest.restoreAllMocks());
beforeEach(() => {
  jest.replaceProperty(Platform, 'OS', 'web');
  document.body.innerHTML = '<button id="app"></button><button id="other"></button><div id="toasts"><button id="one"></button><button id="two"></button></div>';
});

function watched() {
  const focus = createFocusReturn('toasts');
  element('toasts').addEventListener('focusin', (nativeEvent) => focus.enter({ nativeEvent }));
  return focus;
}

test('gives the focus back to where it came from', () => {
  const focus = watched();
  element('app').focus();
  element('one').focus();
  element('two').focus(); // came from inside: not where it belongs
  focus.leave();
  expect(document.activeElement?.id).toBe('app');
});

test('leaves the focus alone that is elsewhere', () => {
  const focus = watched();
  element('app').focus();
  element('one').focus();
  element('other').focus();
  focus.leave();
  expect(document.activeElement?.id).toBe('other');
});

test('does nothing when the focus came from nowhere', () => {
  const focus = watched();
  element('one').focus();
  focus.leave();
  expect(document.activeElement?.id).toBe('one');
});
