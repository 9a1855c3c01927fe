import { event } from '../testing';
import { daySections } from './sections';

const day = (ts: number) => `day ${Math.floor(ts / 100)}`;
const at = (ts: number) => event({ ts });

test('has nothing of nothing', () => {
  expect(daySections([], day)).toEqual([]);
});

test('keeps the order of days and of items', () => {
  const items = [at(310), at(305), at(199), at(110)];
  expect(daySections(items, day)).toEqual([
    { title: 'day 3', data: [items[0], items[1]] },
    { title: 'day 1', data: [items[2], items[3]] },
  ]);
});

test('has each day once, also when a clock stepped back', () => {
  const items = [at(300), at(199), at(301), at(100)];
  expect(daySections(items, day).map(({ title, data }) => [title, data.length])).toEqual([['day 3', 2], ['day 1', 2]]);
});
