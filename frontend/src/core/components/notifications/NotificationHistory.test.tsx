import { act, fireEvent, screen } from '@testing-library/react-native';
import { RefreshControl, SectionList } from 'react-native';
import { describeEvent } from '../content';
import { event, fakeInbox, phone, resize, show, titled } from '../testing';
import { NotificationHistory } from './NotificationHistory';

const now = new Date(2026, 10, 23, 12).getTime();
const clock = () => now;
const minute = 60_000;
const day = 24 * 60 * minute;
const headings = () => screen.getAllByRole('heading').map((heading): unknown => heading.props.children);

beforeEach(() => {
  jest.useFakeTimers({ now });
  resize(phone);
});
afterEach(() => jest.useRealTimers());

function history(inbox = fakeInbox(), language: 'en' | 'da' = 'en') {
  const onOpen = jest.fn();
  show(<NotificationHistory inbox={inbox} onOpen={onOpen} clock={clock} />, language);
  return { inbox, onOpen, list: screen.UNSAFE_getByType(SectionList) };
}

const three = () => [
  event({ id: 'a', ts: now - 5 * minute, payload: { title: 'Summer meetup', teaser: 'Saturday at the lake' } }),
  titled('Your table is ready', { id: 'b', ts: now - day, read: true }),
  titled('Welcome', { id: 'c', ts: now - 7 * day, to: 'broadcast' }),
];

describe('the list', () => {
  test('goes by day', () => {
    history(fakeInbox({ items: three() }));
    expect(headings()).toEqual(['Notifications', 'Today', 'Yesterday', expect.stringMatching(/^Monday,? (16 November|November 16)$/)]);
  });

  test('goes by day in Danish', () => {
    history(fakeInbox({ items: three() }), 'da');
    expect(headings()).toEqual(['Notifikationer', 'I dag', 'I går', expect.stringMatching(/^Mandag( den)? 16\. november$/)]);
  });

  test('has each item say all it has to say', () => {
    history(fakeInbox({ items: three() }));
    expect(screen.getByRole('button', { name: 'Summer meetup. Saturday at the lake. 5 min. Unread.' })).toBeOnTheScreen();
    expect(screen.getByRole('button', { name: /^Your table is ready\. 12:00.*\.$/ })).not.toHaveAccessibleName(/Unread/);
  });

  test('counts what is unread, beyond what is listed', () => {
    history(fakeInbox({ items: three(), unread: 1000 }));
    expect(screen.getByText('1,000 unread')).toBeOnTheScreen();
  });

  test('says when all is read', () => {
    history(fakeInbox({ items: three().map((item) => ({ ...item, read: true })) }));
    expect(screen.getByText('You are up to date')).toBeOnTheScreen();
    expect(screen.queryByRole('button', { name: 'Mark all as read' })).toBeNull();
  });

  test('moves to the next day, and the times with it', () => {
    let time = now;
    const inbox = fakeInbox({ items: three().slice(0, 1) });
    show(<NotificationHistory inbox={inbox} onOpen={jest.fn()} clock={() => time} />);
    expect(screen.getByText('Today')).toBeOnTheScreen();
    time += day;
    act(() => jest.advanceTimersByTime(minute));
    expect(screen.getByText('Yesterday')).toBeOnTheScreen();
  });

  test('shows an event without words of its own, since it counts as unread', () => {
    history(fakeInbox({ items: [event({ type: 'weird', ts: now, payload: null as never }), event({ type: 'photo.liked', ts: now, payload: { by: 'Grace' } })] }));
    expect(screen.getAllByRole('button', { name: 'Notification. Now. Unread.' })).toHaveLength(2);
  });

  test('shows markup as text, and long words whole to those who hear them', () => {
    const title = `<script>alert(1)</script> ${'long'.repeat(40)}`;
    history(fakeInbox({ items: [titled(title, { ts: now })] }));
    expect(screen.getByText(title).props.numberOfLines).toBe(2);
    expect(screen.getByRole('button', { name: `${title}. Now. Unread.` })).toBeOnTheScreen();
  });

  test('renders a part of a long list', () => {
    history(fakeInbox({ items: Array.from({ length: 1000 }, (_, i) => titled(`Event ${i}`, { ts: now - i * minute })) }));
    expect(screen.getAllByRole('button', { name: /^Event/ }).length).toBeLessThan(100);
  });

  test('renders a row anew only when its event changes', () => {
    const describe = jest.fn(describeEvent);
    const inbox = fakeInbox({ items: three() });
    show(<NotificationHistory inbox={inbox} onOpen={jest.fn()} describe={describe} clock={clock} />);
    describe.mockClear();
    const [first, ...rest] = inbox.getState().items;
    inbox.set({ items: [{ ...first!, read: true }, ...rest] });
    expect(describe.mock.calls.map(([item]) => item.id)).toEqual(['a']);
  });
});

describe('an item', () => {
  test('is opened and marked as read', () => {
    const { inbox, onOpen } = history(fakeInbox({ items: three() }));
    fireEvent.press(screen.getByRole('button', { name: /^Summer meetup/ }));
    expect(onOpen).toHaveBeenCalledWith(expect.objectContaining({ id: 'a' }));
    expect(inbox.markRead).toHaveBeenCalledWith('a');
  });

  test('that is read is only opened', () => {
    const { inbox, onOpen } = history(fakeInbox({ items: three() }));
    fireEvent.press(screen.getByRole('button', { name: /^Your table/ }));
    expect(onOpen).toHaveBeenCalledTimes(1);
    expect(inbox.markRead).not.toHaveBeenCalled();
  });

  test('is marked as read by its dot, and as unread again', () => {
    const { inbox, onOpen } = history(fakeInbox({ items: three() }));
    fireEvent.press(screen.getAllByRole('button', { name: 'Mark as read' })[0]!);
    expect(inbox.markRead).toHaveBeenCalledWith('a');
    fireEvent.press(screen.getByRole('button', { name: 'Mark as unread' }));
    expect(inbox.markUnread).toHaveBeenCalledWith('b');
    expect(onOpen).not.toHaveBeenCalled();
  });

  test('is marked by a long press', () => {
    const { inbox, onOpen } = history(fakeInbox({ items: three() }));
    fireEvent(screen.getByRole('button', { name: /^Your table/ }), 'longPress');
    expect(inbox.markUnread).toHaveBeenCalledWith('b');
    expect(onOpen).not.toHaveBeenCalled();
  });
});

test('all are marked as read at once', () => {
  const { inbox } = history(fakeInbox({ items: three() }), 'da');
  fireEvent.press(screen.getByRole('button', { name: 'Markér alle som læst' }));
  expect(inbox.markAllRead).toHaveBeenCalledTimes(1);
});

test('pulling refreshes, and shows so until it is done, well or not', async () => {
  const { inbox } = history(fakeInbox({ items: three() }));
  const control = () => screen.UNSAFE_getByType(RefreshControl).props;
  let fail = (_: Error) => {};
  inbox.refresh.mockReturnValueOnce(new Promise((_, reject) => (fail = reject)));
  act(() => control().onRefresh());
  expect(control().refreshing).toBe(true);
  await act(async () => fail(new Error('no')));
  expect(control().refreshing).toBe(false);
  expect(inbox.refresh).toHaveBeenCalledTimes(1);
});

describe('the end of the list', () => {
  test('loads older ones, one page at a time', () => {
    const { inbox, list } = history(fakeInbox({ items: three(), more: true }));
    act(() => list.props.onEndReached());
    expect(inbox.loadMore).toHaveBeenCalledTimes(1);
    inbox.set({ busy: true });
    act(() => screen.UNSAFE_getByType(SectionList).props.onEndReached());
    expect(inbox.loadMore).toHaveBeenCalledTimes(1);
    expect(screen.getByLabelText('Loading older notifications')).toBeOnTheScreen();
  });

  test('loads nothing when there is nothing', () => {
    const { inbox, list } = history(fakeInbox({ items: three() }));
    act(() => list.props.onEndReached());
    expect(inbox.loadMore).not.toHaveBeenCalled();
  });

  test('offers to try again a page that failed, and does not by itself', () => {
    const { inbox, list } = history(fakeInbox({ items: three(), more: true, error: 'HTTP 500' }));
    act(() => list.props.onEndReached());
    expect(inbox.loadMore).not.toHaveBeenCalled();
    expect(screen.getByText('Older notifications could not be loaded.')).toBeOnTheScreen();
    fireEvent.press(screen.getByRole('button', { name: 'Try again' }));
    expect(inbox.loadMore).toHaveBeenCalledTimes(1);
  });

  test('is said of a long list', () => {
    history(fakeInbox({ items: Array.from({ length: 12 }, (_, i) => titled(`Event ${i}`, { ts: now })) }));
    expect(screen.getByText('There is nothing older')).toBeOnTheScreen();
  });
});

describe('with nothing to show', () => {
  test('it says so', () => {
    history();
    expect(screen.getByRole('heading', { name: 'No notifications yet' })).toBeOnTheScreen();
    expect(screen.queryByRole('button', { name: 'Try again' })).toBeNull();
  });

  test('it shows rows without words while it loads', () => {
    history(fakeInbox({ status: 'loading' }));
    expect(screen.getByRole('progressbar', { name: 'Loading notifications' })).toBeBusy();
  });

  test.each([
    ['an error', { status: 'error', error: 'HTTP 500' } as const, 'Notifications could not be loaded'],
    ['no network', { status: 'loading', connection: 'offline' } as const, 'You are offline'],
    ['no network and an error', { status: 'error', error: 'no answer', connection: 'offline' } as const, 'You are offline'],
  ])('it says why after %s, and tries again', async (_, state, title) => {
    const { inbox } = history(fakeInbox(state));
    expect(screen.getByRole('heading', { name: title })).toBeOnTheScreen();
    await act(async () => fireEvent.press(screen.getByRole('button', { name: 'Try again' })));
    expect(inbox.refresh).toHaveBeenCalledTimes(1);
  });
});

describe('with old items', () => {
  test('it says that it is offline', () => {
    const { inbox } = history(fakeInbox({ items: three(), connection: 'offline' }));
    expect(screen.getByText('You are offline. This is what was saved on this device.')).toBeOnTheScreen();
    expect(screen.getByText('Summer meetup')).toBeOnTheScreen();
    inbox.set({ connection: 'live' });
    expect(screen.queryByText(/You are offline/)).toBeNull();
  });

  test('it says that newer ones could not be loaded, and tries again', async () => {
    const { inbox } = history(fakeInbox({ items: three(), status: 'error', error: 'HTTP 500' }));
    expect(screen.getByText('The newest notifications could not be loaded.')).toBeOnTheScreen();
    expect(screen.queryByText('HTTP 500')).toBeNull(); // not for people
    await act(async () => fireEvent.press(screen.getByRole('button', { name: 'Try again' })));
    expect(inbox.refresh).toHaveBeenCalledTimes(1);
  });
});

test('hears nothing after it is gone', () => {
  const { inbox } = history(fakeInbox({ items: three() }));
  screen.unmount();
  expect(inbox.listening()).toBe(0);
});
