import { act, fireEvent, screen } from '@testing-library/react-native';
import { AppState } from 'react-native';
import { State, type PanGesture } from 'react-native-gesture-handler';
import { fireGestureHandler, getByGestureTestId } from 'react-native-gesture-handler/jest-utils';
import { useReducedMotion } from '../../theme/motion';
import { show } from '../testing';
import { EventToast, type EventToastProps } from './EventToast';

jest.mock('../../theme/motion', () => ({ useReducedMotion: jest.fn(() => false) }));

beforeEach(() => jest.useFakeTimers({ doNotFake: ['queueMicrotask'] })); // by which worklets call back
afterEach(() => {
  jest.restoreAllMocks();
  jest.useRealTimers();
});

const content = { title: 'Summer meetup', teaser: 'Saturday at the lake' };
const wait = (ms: number) => act(() => jest.advanceTimersByTime(ms));

function toast(props: Partial<EventToastProps> = {}) {
  const onOpen = jest.fn();
  const onDismiss = jest.fn();
  const element = (more: Partial<EventToastProps> = {}) => (
    <EventToast content={content} duration={5000} onOpen={onOpen} onDismiss={onDismiss} {...props} {...more} />
  );
  const { rerender } = show(element());
  // Focus and touches of what is inside come up to the frame, in a browser and on a device.
  const frame = screen.UNSAFE_root.findAll((node) => typeof node.type === 'string' && node.props.onPointerEnter)[0]!;
  return { onOpen, onDismiss, frame, change: (more: Partial<EventToastProps>) => rerender(element(more)), card: screen.getByRole('button', { name: /^Summer/ }) };
}

test('is a button that says all its words, and opens', () => {
  const { onOpen, onDismiss, card } = toast();
  expect(card).toHaveAccessibleName('Summer meetup. Saturday at the lake.');
  fireEvent.press(card);
  expect(onOpen).toHaveBeenCalledTimes(1);
  expect(onDismiss).not.toHaveBeenCalled();
});

test('has a button that sends it away', () => {
  const { onDismiss } = toast();
  fireEvent.press(screen.getByRole('button', { name: 'Dismiss' }));
  expect(onDismiss).toHaveBeenCalledTimes(1);
});

describe('time', () => {
  test('is over after the duration', () => {
    const { onDismiss } = toast();
    wait(4999);
    expect(onDismiss).not.toHaveBeenCalled();
    wait(1);
    expect(onDismiss).toHaveBeenCalledTimes(1);
  });

  test.each([['touch', 'touchStart', 'touchEnd'], ['touch that is taken over', 'touchStart', 'touchCancel'], ['pointer', 'pointerEnter', 'pointerLeave'], ['focus', 'focus', 'blur']])(
    'stands still under %s',
    (_, start, end) => {
      const onHold = jest.fn();
      const { onDismiss, frame } = toast({ onHold });
      wait(2000);
      fireEvent(frame, start);
      wait(60_000);
      expect(onDismiss).not.toHaveBeenCalled();
      expect(onHold.mock.calls).toEqual([[true]]);
      fireEvent(frame, end);
      expect(onHold.mock.calls).toEqual([[true], [false]]);
      wait(2999);
      expect(onDismiss).not.toHaveBeenCalled();
      wait(1);
      expect(onDismiss).toHaveBeenCalledTimes(1);
    },
  );

  test('stands still until the last of several lets go', () => {
    const { onDismiss, frame } = toast();
    fireEvent(frame, 'pointerEnter');
    fireEvent(frame, 'focus');
    fireEvent(frame, 'pointerLeave');
    wait(60_000);
    expect(onDismiss).not.toHaveBeenCalled();
  });

  test('leaves enough to see what was pointed at', () => {
    const { onDismiss, frame } = toast();
    wait(4990);
    fireEvent(frame, 'pointerEnter');
    fireEvent(frame, 'pointerLeave');
    wait(1400);
    expect(onDismiss).not.toHaveBeenCalled();
    wait(100);
    expect(onDismiss).toHaveBeenCalledTimes(1);
  });

  test('stands still when it is told to', () => {
    const { onDismiss, change } = toast({ paused: true });
    wait(60_000);
    expect(onDismiss).not.toHaveBeenCalled();
    change({ paused: false });
    wait(5000);
    expect(onDismiss).toHaveBeenCalledTimes(1);
  });

  test('stands still while nobody can see the app', () => {
    const listeners: ((state: 'background') => void)[] = [];
    jest.spyOn(AppState, 'addEventListener').mockImplementation((_, listener) => {
      listeners.push(listener);
      return { remove() {} } as ReturnType<typeof AppState.addEventListener>;
    });
    const { onDismiss } = toast();
    const before = AppState.currentState;
    AppState.currentState = 'background';
    act(() => listeners.forEach((listener) => listener('background')));
    wait(60_000);
    expect(onDismiss).not.toHaveBeenCalled();
    AppState.currentState = before;
  });

  test('starts over when a newer event takes the place', () => {
    const { onDismiss, change } = toast();
    wait(4000);
    change({ revision: 1, content: { title: 'Summer meetup, moved' } });
    expect(screen.getByText('Summer meetup, moved')).toBeOnTheScreen();
    wait(4000);
    expect(onDismiss).not.toHaveBeenCalled();
    wait(1000);
    expect(onDismiss).toHaveBeenCalledTimes(1);
  });

  test('is never over without a duration', () => {
    const { onDismiss } = toast({ duration: 0 });
    wait(3_600_000);
    expect(onDismiss).not.toHaveBeenCalled();
  });

  test('is not drawn for a person who asked for less motion, but runs', () => {
    const bars = () => screen.UNSAFE_root.findAll((node) => node.props['aria-hidden'] === true && node.props.collapsable === undefined).length;
    const { onDismiss } = toast();
    const moving = bars();
    screen.unmount();
    jest.mocked(useReducedMotion).mockReturnValue(true);
    const still = toast();
    expect(bars()).toBeLessThan(moving);
    wait(5000);
    expect(still.onDismiss).toHaveBeenCalledTimes(1);
    expect(onDismiss).not.toHaveBeenCalled(); // gone with its component, and its timer with it
    jest.mocked(useReducedMotion).mockReturnValue(false);
  });
});

describe('a swipe', () => {
  const swipe = (translationX: number, velocityX = 0) =>
    fireGestureHandler<PanGesture>(getByGestureTestId('toast-swipe'), [
      { state: State.BEGAN, translationX: 0 },
      { state: State.ACTIVE, translationX: translationX / 2 },
      { translationX },
      { state: State.END, translationX, velocityX },
    ]);

  test.each([['to one side', 140, 0], ['to the other', -140, 0], ['short and fast', 30, 900]])('%s sends it away', async (_, x, velocity) => {
    const { onDismiss, onOpen } = toast();
    await act(async () => swipe(x, velocity));
    expect(onDismiss).toHaveBeenCalledTimes(1);
    expect(onOpen).not.toHaveBeenCalled();
  });

  test('that is short does not, and is no press either', async () => {
    const { onDismiss, onOpen, card } = toast();
    await act(async () => swipe(40, 100));
    fireEvent.press(card); // the click that a browser reports when the mouse is let go
    expect(onDismiss).not.toHaveBeenCalled();
    expect(onOpen).not.toHaveBeenCalled();
    fireEvent(card, 'pressIn');
    fireEvent.press(card);
    expect(onOpen).toHaveBeenCalledTimes(1);
  });
});
