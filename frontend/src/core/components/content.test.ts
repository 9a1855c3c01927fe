import type { Notification } from '@socialvibes/vibemesh-client';
import { describeEvent, describeSchemes } from './content';
import { event } from './testing';

const toast = (payload: unknown) => event({ payload: payload as Notification['payload'] });

test('shows the fields of a toast', () => {
  const payload = {
    title: 'Summer meetup', teaser: 'Saturday', description: 'Bring a blanket.\n\nAnd a cup.', image_url: 'https://example.com/lake.jpg',
    action_url: 'sv://event/7', action_label: 'Open',
  };
  expect(describeEvent(toast(payload))).toEqual({
    title: 'Summer meetup', teaser: 'Saturday', description: 'Bring a blanket.\n\nAnd a cup.', image: 'https://example.com/lake.jpg',
    action: { url: 'sv://event/7', scheme: 'sv', host: 'event', label: 'Open' },
  });
});

test('shows an event of any type that has a title', () => {
  expect(describeEvent({ ...toast({ title: 'Grace liked your photo' }), type: 'photo.liked' })?.title).toBe('Grace liked your photo');
});

test.each([
  ['no payload', undefined], ['null', null], ['a string', 'title'], ['an array', ['title']], ['no title', { teaser: 'Saturday' }],
  ['a title of another type', { title: 7 }], ['an object for a title', { title: { toString: () => 'x' } }], ['an empty title', { title: '' }],
  ['a title of spaces', { title: ' \n\t ' }], ['a title of control characters', { title: '\u0000\u001b\u202e' }],
])('does not describe %s', (_, payload) => {
  expect(describeEvent(toast(payload))).toBeUndefined();
});

test('passes over fields that are wrong', () => {
  const payload = { title: 'T', teaser: null, description: 7, image_url: 'http://example.com/a.jpg', action_url: 'javascript:alert(1)', action_label: 'Do not' };
  const { title, ...rest } = describeEvent(toast(payload)) ?? { title: '' };
  expect(title).toBe('T');
  expect(Object.values(rest).every((value) => value === undefined)).toBe(true);
});

test('leaves markup as it is: nothing renders it', () => {
  const title = '<img src=x onerror=alert(1)> **bold** [link](javascript:alert(1)) &lt;';
  expect(describeEvent(toast({ title }))?.title).toBe(title);
});

test('puts a headline on one line, without what is not seen', () => {
  expect(describeEvent(toast({ title: '  Summer\r\n\tmeetup \u0007 \u202etoday\u0000 ' }))?.title).toBe('Summer meetup today');
});

test('keeps the lines of a text, but not a thousand of them', () => {
  expect(describeEvent(toast({ title: 'T', description: 'a\r\nb\n\n\n\n\nc\u202e' }))?.description).toBe('a\nb\n\nc');
});

test('cuts at the lengths of the schema, never inside of a character', () => {
  expect(describeEvent(toast({ title: 'a'.repeat(200) }))?.title).toBe('a'.repeat(200));
  expect(describeEvent(toast({ title: 'a'.repeat(201) }))?.title).toBe(`${'a'.repeat(199)}…`);
  expect(describeEvent(toast({ title: '🎉'.repeat(200) }))?.title).toBe('🎉'.repeat(200));
  const title = describeEvent(toast({ title: '🎉'.repeat(300) }))?.title ?? '';
  expect(title).toBe(`${'🎉'.repeat(199)}…`);
  const description = describeEvent(toast({ title: 'T', description: 'x'.repeat(1_000_000) }))?.description ?? '';
  expect(description).toHaveLength(20_000);
});

test('follows the schemes of the app', () => {
  const payload = { title: 'T', action_url: 'club://chess' };
  expect(describeEvent(toast(payload))?.action).toBeUndefined();
  expect(describeSchemes(['club'])(toast(payload))?.action?.url).toBe('club://chess');
});
