import type { ConnectionState } from '@socialvibes/vibemesh-client';
import { act, fireEvent, screen } from '@testing-library/react-native';
import { Text } from 'react-native';
import { SafeAreaInsetsContext } from 'react-native-safe-area-context';
import { show } from '../testing';
import { Bell } from './Bell';
import { ConnectionPill, patience } from './ConnectionPill';
import { Header } from './Header';

beforeEach(() => jest.useFakeTimers());
afterEach(() => jest.useRealTimers());

const nothing = () => {};

describe('the bell', () => {
  test.each([
    ['en', 0, 'Notifications'], ['en', 1, 'Notifications, 1 unread'], ['en', 5, 'Notifications, 5 unread'], ['en', 1000, 'Notifications, 1,000 unread'],
    ['da', 0, 'Notifikationer'], ['da', 1, 'Notifikationer, 1 ulæst'], ['da', 5, 'Notifikationer, 5 ulæste'],
  ] as const)('in %s with %i unread is called %s', (language, unread, name) => {
    show(<Bell unread={unread} onPress={nothing} />, language);
    expect(screen.getByRole('button')).toHaveAccessibleName(name);
  });

  test.each([[1, '1'], [99, '99'], [100, '99+'], [1000, '99+']])('with %i unread shows %s', (unread, badge) => {
    show(<Bell unread={unread} onPress={nothing} />);
    expect(screen.getByText(badge, { includeHiddenElements: true })).toBeOnTheScreen();
  });

  test('has no badge when all is read', () => {
    show(<Bell unread={0} onPress={nothing} />);
    expect(screen.queryByText(/\d/, { includeHiddenElements: true })).toBeNull();
  });

  test('says that its list is shown', () => {
    show(<Bell unread={0} onPress={nothing} selected />);
    expect(screen.getByRole('button')).toBeSelected();
  });
});

describe('the connection', () => {
  const pill = (connection: ConnectionState, language: 'en' | 'da' = 'en') => show(<ConnectionPill connection={connection} />, language);

  test('is not spoken of while it is live', () => {
    pill('live');
    act(() => jest.advanceTimersByTime(10 * patience));
    expect(screen.queryByText(/./)).toBeNull();
  });

  test.each([['connecting', 'Connecting', 'Forbinder'], ['waiting', 'Reconnecting', 'Forbinder igen'], ['stopped', 'Not connected', 'Ikke forbundet']] as const)(
    'that is %s is spoken of after a while',
    (connection, english, danish) => {
      pill(connection);
      act(() => jest.advanceTimersByTime(patience - 1));
      expect(screen.queryByText(english)).toBeNull();
      act(() => jest.advanceTimersByTime(1));
      expect(screen.getByText(english)).toBeOnTheScreen();
      screen.unmount();
      pill(connection, 'da');
      act(() => jest.advanceTimersByTime(patience));
      expect(screen.getByText(danish)).toBeOnTheScreen();
    },
  );

  test.each([['offline', 'Offline'], ['refused', 'Not signed in']] as const)('that is %s is spoken of at once', (connection, words) => {
    pill(connection);
    expect(screen.getByText(words)).toBeOnTheScreen();
  });

  test('that comes and goes has its patience anew, but not between two attempts', () => {
    const { rerender } = pill('connecting');
    act(() => jest.advanceTimersByTime(patience - 1));
    rerender(<ConnectionPill connection="live" />);
    rerender(<ConnectionPill connection="waiting" />);
    act(() => jest.advanceTimersByTime(patience - 1));
    expect(screen.queryByText('Reconnecting')).toBeNull();
    rerender(<ConnectionPill connection="connecting" />);
    act(() => jest.advanceTimersByTime(1));
    expect(screen.getByText('Connecting')).toBeOnTheScreen();
    rerender(<ConnectionPill connection="live" />);
    expect(screen.queryByText('Connecting')).toBeNull();
  });
});

describe('the header', () => {
  test('has title, bell and the app’s own buttons', () => {
    const onBell = jest.fn();
    show(<Header title="Vibemesh" unread={2} connection="live" onBell={onBell}><Text>settings</Text></Header>);
    expect(screen.getByText('Vibemesh')).toBeOnTheScreen();
    expect(screen.getByText('settings')).toBeOnTheScreen();
    fireEvent.press(screen.getByRole('button', { name: 'Notifications, 2 unread' }));
    expect(onBell).toHaveBeenCalledTimes(1);
    expect(screen.queryByRole('button', { name: 'Back' })).toBeNull();
  });

  test('leads back', () => {
    const onBack = jest.fn();
    show(<Header title="Settings" unread={0} connection="live" onBell={nothing} onBack={onBack} />, 'da');
    fireEvent.press(screen.getByRole('button', { name: 'Tilbage' }));
    expect(onBack).toHaveBeenCalledTimes(1);
  });

  test('stays clear of the notch', () => {
    show(
      <SafeAreaInsetsContext.Provider value={{ top: 47, bottom: 34, left: 0, right: 0 }}>
        <Header title="Vibemesh" unread={0} connection="live" onBell={nothing} />
      </SafeAreaInsetsContext.Provider>,
    );
    expect(screen.UNSAFE_root.findAll((node) => typeof node.type === 'string' && node.props.role === 'banner')[0]).toHaveStyle({ paddingTop: 47 });
  });
});
