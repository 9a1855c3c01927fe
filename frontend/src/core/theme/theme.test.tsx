import { render, renderHook, screen } from '@testing-library/react-native';
import type { ReactNode } from 'react';
import { Text, useColorScheme } from 'react-native';
import { createTheme, makeStyles, ThemeProvider, useTheme, type Palette, type Scheme } from '.';

// WCAG 2.2, 1.4.3: relative luminance and contrast.
function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5]
    .map((at) => parseInt(hex.slice(at, at + 2), 16) / 255)
    .map((share) => (share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

const texts: readonly (readonly [keyof Palette, keyof Palette])[] = [
  ...(['page', 'surface', 'raised', 'sunken'] as const).flatMap((below) => (['text', 'muted', 'accentText'] as const).map((text) => [text, below] as const)),
  ['onAccent', 'accent'], ['onAccent', 'accentStrong'], ['accentText', 'accentSoft'], ['warn', 'warnSoft'], ['bad', 'badSoft'],
  ['good', 'goodSoft'], ['bad', 'raised'], ['accentText', 'badSoft'],
];
const signs: typeof texts = [
  ['accent', 'surface'], ['accent', 'sunken'], ['accent', 'raised'], ['accent', 'page'], ['ruleStrong', 'surface'], ['ruleStrong', 'sunken'],
];

describe.each<Scheme>(['light', 'dark'])('the %s palette', (scheme) => {
  const { color } = createTheme(scheme);

  test.each(texts)('%s can be read on %s', (text, below) => {
    expect(contrast(color[text], color[below])).toBeGreaterThanOrEqual(4.5);
  });

  test.each(signs)('%s can be seen on %s', (sign, below) => {
    expect(contrast(color[sign], color[below])).toBeGreaterThanOrEqual(3);
  });
});

test('an override changes what it names, and nothing else', () => {
  const plain = createTheme('light');
  const theme = createTheme('light', { color: { accent: '#0a6a3c' }, radius: { l: 4 }, font: 'Georgia' });
  expect(theme).toEqual({ ...plain, color: { ...plain.color, accent: '#0a6a3c' }, radius: { ...plain.radius, l: 4 }, font: 'Georgia' });
});

describe('useTheme', () => {
  const within = (props: Partial<Parameters<typeof ThemeProvider>[0]>) =>
    function Wrapper({ children }: { children: ReactNode }) {
      return <ThemeProvider {...props}>{children}</ThemeProvider>;
    };

  test('is that of the device without a provider', () => {
    expect(renderHook(useTheme).result.current.scheme).toBe('light');
  });

  test('is what the app chose', () => {
    expect(renderHook(useTheme, { wrapper: within({ scheme: 'dark' }) }).result.current.scheme).toBe('dark');
  });

  test('follows the device', () => {
    jest.mocked(useColorScheme).mockReturnValue('dark');
    expect(renderHook(useTheme, { wrapper: within({}) }).result.current.scheme).toBe('dark');
    expect(renderHook(useTheme).result.current.scheme).toBe('dark');
    jest.mocked(useColorScheme).mockReturnValue('light');
    expect(renderHook(useTheme, { wrapper: within({}) }).result.current.scheme).toBe('light');
  });

  test('is changed by scheme', () => {
    const override = (scheme: Scheme) => ({ color: { accent: scheme === 'dark' ? '#ffffff' : '#000000' } });
    expect(renderHook(useTheme, { wrapper: within({ scheme: 'dark', override }) }).result.current.color.accent).toBe('#ffffff');
  });
});

test('styles are made once for each theme', () => {
  const create = jest.fn(({ color }) => ({ text: { color: color.text } }));
  const useStyles = makeStyles(create);
  const Word = ({ children }: { children: string }) => <Text style={useStyles().text}>{children}</Text>;
  render(
    <>
      <Word>one</Word>
      <Word>two</Word>
      <ThemeProvider scheme="dark"><Word>three</Word></ThemeProvider>
    </>,
  );
  expect(create).toHaveBeenCalledTimes(2);
  expect(screen.getByText('one')).toHaveStyle({ color: createTheme('light').color.text });
  expect(screen.getByText('three')).toHaveStyle({ color: createTheme('dark').color.text });
});
