import { fireEvent, screen } from '@testing-library/react-native';
import Bell from 'lucide-react-native/icons/bell';
import { StyleSheet } from 'react-native';
import { target } from '../../theme';
import { show } from '../testing';
import { Blank } from './Blank';
import { Button } from './Button';
import { IconButton } from './IconButton';
import { Notice } from './Notice';
import { sentences } from './sentences';

const size = (name: string) => {
  const { width, height, minHeight } = StyleSheet.flatten(screen.getByRole('button', { name }).props.style);
  return { width: Number(width ?? target), height: Number(height ?? minHeight) };
};

test('buttons are large enough for a finger', () => {
  show(
    <>
      <Button label="one" onPress={() => {}} />
      <Button label="two" kind="quiet" onPress={() => {}} />
      <Button label="three" kind="soft" grow onPress={() => {}} />
      <IconButton label="four" icon={Bell} onPress={() => {}} />
    </>,
  );
  for (const name of ['one', 'two', 'three', 'four']) {
    expect(size(name).height).toBeGreaterThanOrEqual(target);
    expect(size(name).width).toBeGreaterThanOrEqual(target);
  }
});

test('a disabled button says so, and does nothing', () => {
  const onPress = jest.fn();
  show(
    <>
      <Button label="one" disabled onPress={onPress} />
      <IconButton label="two" icon={Bell} disabled onPress={onPress} />
    </>,
  );
  for (const button of screen.getAllByRole('button')) {
    expect(button).toBeDisabled();
    fireEvent.press(button);
  }
  expect(onPress).not.toHaveBeenCalled();
});

test('a notice is a status that is read out', () => {
  show(<Notice icon={Bell} tone="warn" text="You are offline." />);
  const status = screen.UNSAFE_root.findAll((node) => node.props.role === 'status' && node.props.accessibilityLiveRegion === 'polite');
  expect(status.length).toBeGreaterThan(0);
});

test('a blank offers its action', () => {
  const onPress = jest.fn();
  show(<Blank icon={Bell} title="Nothing" text="Yet." action={{ label: 'Try again', onPress }} />);
  expect(screen.getByRole('heading', { name: 'Nothing' })).toBeOnTheScreen();
  fireEvent.press(screen.getByRole('button', { name: 'Try again' }));
  expect(onPress).toHaveBeenCalledTimes(1);
});

test('sentences end once', () => {
  expect(sentences('Summer meetup', 'Bring a blanket.', undefined, false, '', 'Really?', '“Yes.”', '…')).toBe(
    'Summer meetup. Bring a blanket. Really? “Yes.” …',
  );
});
