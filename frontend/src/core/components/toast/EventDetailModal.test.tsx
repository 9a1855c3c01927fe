import { act, fireEvent, screen, waitFor } from '@testing-library/react-native';
import { Linking, Modal } from 'react-native';
import { State, type PanGesture } from 'react-native-gesture-handler';
import { fireGestureHandler, getByGestureTestId } from 'react-native-gesture-handler/jest-utils';
import { event, phone, resize, show, titled } from '../testing';
import { EventDetailModal, type EventDetailModalProps } from './EventDetailModal';

beforeEach(() => resize(phone));
afterEach(() => {
  jest.restoreAllMocks();
  jest.clearAllMocks();
});

const meetup = event({
  ts: new Date(2026, 10, 16, 14, 5).getTime(),
  payload: { title: 'Summer meetup', teaser: 'Saturday', description: 'Bring a blanket.', action_url: 'https://example.com/7', action_label: 'See it' },
});

function modal(props: Partial<EventDetailModalProps> = {}, language: 'en' | 'da' = 'en') {
  const onClose = jest.fn();
  const element = (more: Partial<EventDetailModalProps> = {}) => <EventDetailModal event={meetup} onClose={onClose} {...props} {...more} />;
  const { rerender } = show(element(), language);
  return { onClose, change: (more: Partial<EventDetailModalProps>) => rerender(element(more)) };
}

test('is a dialog called by the title, with all of the event', () => {
  modal();
  expect(screen.UNSAFE_getByType(Modal).props['aria-label']).toBe('Summer meetup');
  expect(screen.getByRole('heading', { name: 'Summer meetup' })).toBeOnTheScreen();
  for (const text of ['Saturday', 'Bring a blanket.', 'See it']) expect(screen.getByText(text)).toBeOnTheScreen();
});

test('is closed without an event', () => {
  modal({ event: undefined });
  expect(screen.queryByRole('button')).toBeNull();
});

test('closes by its button, by Android’s back and by the scrim', () => {
  const { onClose } = modal();
  fireEvent.press(screen.getByRole('button', { name: 'Close' }));
  fireEvent(screen.UNSAFE_getByType(Modal), 'requestClose');
  fireEvent(screen.getByTestId('sheet-scrim', { includeHiddenElements: true }), 'responderRelease');
  expect(onClose).toHaveBeenCalledTimes(3);
});

test.each([['far', 160, 0, 1], ['fast', 40, 1000, 1], ['a little', 40, 100, 0], ['up', -300, -2000, 0]])('pulled %s', async (_, y, velocity, closed) => {
  const { onClose } = modal();
  await act(async () =>
    fireGestureHandler<PanGesture>(getByGestureTestId('sheet-pull'), [
      { state: State.BEGAN, translationY: 0 },
      { state: State.ACTIVE, translationY: y },
      { state: State.END, translationY: y, velocityY: velocity },
    ]),
  );
  expect(onClose).toHaveBeenCalledTimes(closed);
});

describe('the action', () => {
  test('is opened, and closes the modal', async () => {
    const open = jest.spyOn(Linking, 'openURL').mockResolvedValue(true);
    const { onClose } = modal();
    fireEvent.press(screen.getByRole('button', { name: 'See it' }));
    await waitFor(() => expect(onClose).toHaveBeenCalledTimes(1));
    expect(open).toHaveBeenCalledWith('https://example.com/7');
  });

  test('says where on the web it leads', () => {
    modal();
    expect(screen.getByRole('button', { name: 'See it' }).props.accessibilityHint).toBe('example.com. Opens in the browser');
  });

  test('can be taken by the app', async () => {
    const open = jest.spyOn(Linking, 'openURL');
    const onAction = jest.fn(() => true);
    const { onClose } = modal({ onAction });
    fireEvent.press(screen.getByRole('button', { name: 'See it' }));
    await waitFor(() => expect(onClose).toHaveBeenCalledTimes(1));
    expect(onAction).toHaveBeenCalledWith(expect.objectContaining({ url: 'https://example.com/7', scheme: 'https' }), meetup);
    expect(open).not.toHaveBeenCalled();
  });

  test.each([['nothing can open', () => false], ['fails', () => Promise.reject(new Error('no'))]])('that %s says so, and stays', async (_, onAction) => {
    const { onClose } = modal({ onAction });
    fireEvent.press(screen.getByRole('button', { name: 'See it' }));
    await waitFor(() => expect(screen.getByText('That link could not be opened on this device.')).toBeOnTheScreen());
    expect(onClose).not.toHaveBeenCalled();
  });

  test('has words of its own where the event has none', () => {
    modal({ event: event({ payload: { title: 'T', action_url: 'sv://event/7' } }) }, 'da');
    expect(screen.getByRole('button', { name: 'Åbn' })).toBeOnTheScreen();
  });

  test.each(['javascript:alert(1)', 'https://good.example@evil.example/', 'http://example.com', 'file:///etc/passwd'])('%s is not offered', (address) => {
    modal({ event: event({ payload: { title: 'T', action_url: address, action_label: 'Go' } }) });
    expect(screen.queryByText('Go')).toBeNull();
    expect(screen.getAllByRole('button')).toHaveLength(1);
  });
});

describe('the picture', () => {
  const images = () => screen.UNSAFE_root.findAll((node) => String(node.type) === 'Image');
  const pictured = (address: string) => event({ payload: { title: 'T', image_url: address } });

  test('comes by https only', () => {
    const { change } = modal({ event: pictured('https://example.com/a.jpg') });
    expect(images()[0]?.props.source).toEqual(expect.objectContaining({ uri: 'https://example.com/a.jpg' }));
    change({ event: pictured('http://example.com/a.jpg') });
    expect(images()).toHaveLength(0);
  });

  test('that cannot be loaded leaves no hole', () => {
    modal({ event: pictured('https://example.com/a.jpg') });
    fireEvent(images()[0]!, 'error');
    expect(images()).toHaveLength(0);
  });
});

test('an event without words of its own is shown, not a crash', () => {
  modal({ event: event({ type: 'weird', payload: null as never }) });
  expect(screen.getByRole('heading', { name: 'Notification' })).toBeOnTheScreen();
});

test('markup stays text', () => {
  const title = '<b>Bold</b> [link](https://evil.example) &amp;';
  modal({ event: titled(title) });
  expect(screen.getByText(title)).toBeOnTheScreen();
});

test('a failure of one event is not told of the next', async () => {
  const { change } = modal({ onAction: () => false });
  fireEvent.press(screen.getByRole('button', { name: 'See it' }));
  await waitFor(() => expect(screen.getByText(/could not be opened/)).toBeOnTheScreen());
  change({ event: { ...meetup, id: '0-life-other' } });
  expect(screen.queryByText(/could not be opened/)).toBeNull();
});

test('text that does not fit can be reached by keyboard', () => {
  modal();
  const scroll = screen.UNSAFE_root.findAll((node) => node.props.onContentSizeChange && node.props.onLayout && node.props.style)[0]!;
  act(() => {
    scroll.props.onLayout({ nativeEvent: { layout: { height: 300 } } });
    scroll.props.onContentSizeChange(390, 900);
  });
  const after = () => screen.UNSAFE_root.findAll((node) => node.props.onContentSizeChange && node.props.onLayout && node.props.style)[0]!.props.tabIndex;
  expect(after()).toBe(0);
  act(() => scroll.props.onContentSizeChange(390, 200));
  expect(after()).toBeUndefined();
});

test('the time is said in the language', () => {
  modal({}, 'da');
  expect(screen.getByText(/16\. november.* kl\. 14/)).toBeOnTheScreen();
});
