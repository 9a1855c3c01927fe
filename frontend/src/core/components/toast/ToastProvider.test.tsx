import { act, fireEvent, screen } from '@testing-library/react-native';
import { AccessibilityInfo, Platform, Text, View } from 'react-native';
import { describeEvent } from '../content';
import { desk, event, fakeInbox, phone, resize, show, titled } from '../testing';
import { ToastHost } from './ToastHost';
import { ToastProvider, useOpenEvent, type ToastProviderProps } from './ToastProvider';
import { batchMs } from './useToastQueue';

beforeEach(() => {
  jest.useFakeTimers();
  resize(desk);
});
afterEach(() => {
  jest.restoreAllMocks();
  jest.clearAllMocks();
  jest.useRealTimers();
});

const wait = (ms: number) => act(() => jest.advanceTimersByTime(ms));
const toasts = () => screen.queryAllByRole('button', { name: 'Dismiss' }).length;

function provide(inbox = fakeInbox(), props: Partial<ToastProviderProps> = {}) {
  const element = (more: Partial<ToastProviderProps> = {}) => (
    <ToastProvider inbox={inbox} duration={5000} {...props} {...more}><Text>app</Text></ToastProvider>
  );
  const { rerender } = show(element());
  return { inbox, change: (more: Partial<ToastProviderProps>) => rerender(element(more)) };
}

test('shows what arrives, for a while', () => {
  const { inbox } = provide();
  expect(toasts()).toBe(0);
  inbox.arrive(titled('Summer meetup'));
  expect(screen.getByRole('button', { name: 'Summer meetup.' })).toBeOnTheScreen();
  wait(5000);
  expect(toasts()).toBe(0);
  expect(inbox.markRead).not.toHaveBeenCalled(); // nobody has opened it
});

test('passes over events that say nothing to people, and those that are over', () => {
  const { inbox } = provide();
  inbox.arrive(event({ type: 'cache.drop', payload: { key: 7 } }), titled('Too late', { expires: Date.now() }), event({ payload: undefined as never }));
  wait(batchMs);
  expect(toasts()).toBe(0);
  inbox.arrive(titled('In time', { expires: Date.now() + 1000 }));
  expect(screen.getByText('In time')).toBeOnTheScreen();
});

test('shows an app’s own types as the app says', () => {
  const describe = (each: Parameters<typeof describeEvent>[0]) =>
    each.type === 'photo.liked' ? { title: `${String((each.payload as { by?: unknown }).by)} liked your photo` } : undefined;
  const { inbox } = provide(fakeInbox(), { describe });
  inbox.arrive(event({ type: 'photo.liked', payload: { by: 'Grace' } }), titled('Not one of these'));
  wait(batchMs);
  expect(screen.getByText('Grace liked your photo')).toBeOnTheScreen();
  expect(toasts()).toBe(1);
});

test('a newer event of the same collapse key takes the place', () => {
  const { inbox } = provide();
  inbox.arrive(titled('5 minutes', { collapse: 'taxi' }));
  inbox.arrive(titled('2 minutes', { collapse: 'taxi' }));
  wait(batchMs);
  expect(screen.queryByText('5 minutes')).toBeNull();
  expect(screen.getByText('2 minutes')).toBeOnTheScreen();
  expect(toasts()).toBe(1);
});

describe('many', () => {
  const burst = (count: number) => Array.from({ length: count }, (_, i) => titled(`Event ${i}`));

  test('are three on a wide window, and a number that leads to the rest', () => {
    const onShowAll = jest.fn();
    const { inbox } = provide(fakeInbox(), { onShowAll });
    inbox.arrive(...burst(100));
    wait(batchMs);
    expect(toasts()).toBe(3);
    fireEvent.press(screen.getByRole('button', { name: 'And 97 more. Show all notifications' }));
    expect(onShowAll).toHaveBeenCalledTimes(1);
    expect(toasts()).toBe(0);
    expect(screen.queryByRole('button', { name: /more/ })).toBeNull();
  });

  test('are one on a phone', () => {
    resize(phone);
    const { inbox } = provide();
    inbox.arrive(...burst(5));
    wait(batchMs);
    expect(toasts()).toBe(1);
    expect(screen.getByText('and 4 more')).toBeOnTheScreen();
  });

  test('come to an end: the last ones are shown, then the number leaves, too', () => {
    const { inbox } = provide();
    inbox.arrive(...burst(100));
    wait(batchMs);
    wait(5000);
    expect(screen.getByText('Event 99')).toBeOnTheScreen();
    expect(screen.getByRole('button', { name: /^And 94 more/ })).toBeOnTheScreen();
    wait(5000);
    expect(toasts()).toBe(0);
    wait(5000);
    expect(screen.queryByRole('button', { name: /more/ })).toBeNull();
  });

  test('stand still together while one is pointed at, and go on when it is gone', () => {
    const { inbox } = provide();
    inbox.arrive(...burst(2));
    wait(batchMs);
    fireEvent(screen.getByRole('button', { name: 'Event 0.' }), 'pointerEnter');
    wait(60_000);
    expect(toasts()).toBe(2);
    fireEvent.press(screen.getAllByRole('button', { name: 'Dismiss' })[0]!); // leaves under the pointer: no pointerLeave comes
    wait(5000);
    expect(toasts()).toBe(0);
  });
});

describe('screen readers', () => {
  test('are told by a polite live region that is there before', () => {
    const { inbox } = provide();
    const region = screen.UNSAFE_root.findAll((node) => node.props.role === 'status' && node.props.accessibilityLiveRegion === 'polite' && typeof node.type === 'string')[0];
    expect(region?.props.children).toBe('');
    inbox.arrive(event({ payload: { title: 'Summer meetup', teaser: 'Saturday' } }));
    expect(region?.props.children).toBe('Summer meetup. Saturday.');
  });

  test('are told on iOS, once for each toast', () => {
    expect(Platform.OS).toBe('ios');
    const announce = jest.spyOn(AccessibilityInfo, 'announceForAccessibility').mockImplementation(() => {});
    const { inbox } = provide();
    inbox.arrive(titled('One'));
    inbox.arrive(...Array.from({ length: 50 }, (_, i) => titled(`Event ${i}`)));
    wait(batchMs);
    expect(announce.mock.calls).toEqual([['One.'], ['Event 0. Event 1. and 48 more.']]);
  });
});

describe('opening', () => {
  test('shows the event, marks it as read, and takes the toast away', () => {
    const { inbox } = provide();
    const arrived = event({ payload: { title: 'Summer meetup', description: 'Bring a blanket.' } });
    inbox.arrive(arrived);
    fireEvent.press(screen.getByRole('button', { name: 'Summer meetup.' }));
    expect(screen.getByText('Bring a blanket.')).toBeOnTheScreen();
    expect(inbox.markRead).toHaveBeenCalledWith(arrived.id);
    expect(toasts()).toBe(0);
  });

  test('can be taken back', () => {
    const { inbox } = provide();
    const arrived = titled('Summer meetup', { to: 'broadcast' });
    inbox.arrive(arrived);
    fireEvent.press(screen.getByRole('button', { name: 'Summer meetup.' }));
    fireEvent.press(screen.getByRole('button', { name: 'Mark as unread' }));
    expect(inbox.markUnread).toHaveBeenCalledWith(arrived.id);
    expect(screen.queryByRole('button', { name: 'Close' })).toBeNull();
  });

  test('an event of a topic changes nothing: it is in no history', () => {
    const { inbox } = provide();
    inbox.arrive(titled('New in your club', { to: 'topic:club.7' }));
    fireEvent.press(screen.getByRole('button', { name: 'New in your club.' }));
    expect(screen.getByRole('button', { name: 'Close' })).toBeOnTheScreen();
    expect(inbox.markRead).not.toHaveBeenCalled();
    expect(screen.queryByRole('button', { name: 'Mark as unread' })).toBeNull();
  });

  test('what the list has marked as read is not marked twice', () => {
    const listed = titled('Summer meetup', { read: true });
    const { inbox } = provide(fakeInbox({ items: [listed] }));
    inbox.arrive({ ...listed, read: false });
    fireEvent.press(screen.getByRole('button', { name: 'Summer meetup.' }));
    expect(inbox.markRead).not.toHaveBeenCalled();
  });

  test('is up to the app where it keeps what is open', () => {
    const onOpenedChange = jest.fn();
    const arrived = titled('Summer meetup');
    const { inbox, change } = provide(fakeInbox(), { opened: null, onOpenedChange });
    inbox.arrive(arrived);
    fireEvent.press(screen.getByRole('button', { name: 'Summer meetup.' }));
    expect(onOpenedChange.mock.calls).toEqual([[arrived]]);
    expect(inbox.markRead).toHaveBeenCalledWith(arrived.id);
    expect(screen.queryByRole('button', { name: 'Close' })).toBeNull();
    change({ opened: arrived });
    fireEvent.press(screen.getByRole('button', { name: 'Close' }));
    expect(onOpenedChange).toHaveBeenLastCalledWith(undefined);
    expect(screen.getByRole('button', { name: 'Close' })).toBeOnTheScreen();
    change({ opened: null });
    expect(screen.queryByRole('button', { name: 'Close' })).toBeNull();
  });

  test('from a list works the same', () => {
    const inbox = fakeInbox();
    const listed = titled('Summer meetup');
    const Row = () => <Text onPress={[useOpenEvent()].map((open) => () => open(listed))[0]}>row</Text>;
    show(<ToastProvider inbox={inbox}><Row /></ToastProvider>);
    fireEvent.press(screen.getByText('row'));
    expect(screen.getByText('Summer meetup')).toBeOnTheScreen();
    expect(inbox.markRead).toHaveBeenCalledWith(listed.id);
  });

  test('has toasts lie over the modal, and nowhere else', () => {
    const { inbox } = provide();
    inbox.arrive(titled('First'));
    fireEvent.press(screen.getByRole('button', { name: 'First.' }));
    inbox.arrive(titled('Second'));
    wait(batchMs);
    const second = screen.getAllByRole('button', { name: 'Second.' });
    expect(second).toHaveLength(1);
    let above = second[0]?.parent ?? null;
    while (above && above.props.onRequestClose === undefined) above = above.parent;
    expect(above).not.toBeNull();
    fireEvent.press(second[0]!);
    expect(screen.queryByText('First')).toBeNull();
    fireEvent.press(screen.getByRole('button', { name: 'Close' }));
    inbox.arrive(titled('Third'));
    wait(batchMs);
    expect(screen.getAllByRole('button', { name: 'Third.' })).toHaveLength(1);
  });
});

test('what was read on another device leaves', () => {
  const arrived = titled('Summer meetup');
  const { inbox } = provide();
  inbox.arrive(arrived, titled('Another'));
  wait(batchMs);
  inbox.set({ items: [{ ...arrived, read: true }] });
  expect(screen.queryByText('Summer meetup')).toBeNull();
  expect(screen.getByText('Another')).toBeOnTheScreen();
});

test('the next person does not see what the last one was sent', () => {
  const { inbox, change } = provide();
  inbox.arrive(...Array.from({ length: 9 }, (_, i) => titled(`Event ${i}`)));
  wait(batchMs);
  change({ inbox: undefined });
  expect(toasts()).toBe(0);
  expect(screen.queryByRole('button', { name: /more/ })).toBeNull();
  expect(inbox.listening()).toBe(0);
});

test('the next person does not see what the last one had opened', () => {
  const { inbox, change } = provide();
  inbox.arrive(titled('Private'));
  fireEvent.press(screen.getByRole('button', { name: 'Private.' }));
  change({ inbox: undefined });
  expect(screen.queryByText('Private')).toBeNull();
});

test('only the host on top shows toasts', () => {
  const inbox = fakeInbox();
  const app = (modal: boolean) => (
    <ToastProvider inbox={inbox}>{modal && <View testID="modal"><ToastHost /></View>}</ToastProvider>
  );
  const { rerender } = show(app(false));
  rerender(app(true));
  inbox.arrive(titled('Summer meetup'));
  expect(screen.getAllByText('Summer meetup')).toHaveLength(1);
  expect(screen.getByTestId('modal')).toHaveTextContent(/Summer meetup/);
  rerender(app(false));
  expect(screen.getAllByText('Summer meetup')).toHaveLength(1);
});

test('hears nothing after it is gone', () => {
  const { inbox } = provide();
  inbox.arrive(titled('One'), titled('Two'));
  screen.unmount();
  expect(inbox.listening()).toBe(0);
});
