// The look in numbers. Colours are named by use, never by hue, so that a theme can replace them; the tests hold every
// pair of text and background that the components put together to a contrast of 4.5:1.

export type Scheme = 'light' | 'dark';

export interface Palette {
  /** Behind everything. */
  page: string;
  /** Cards and bars. */
  surface: string;
  /** What floats above cards: toasts and the sheet of an event. */
  raised: string;
  /** What lies lower than a card: placeholders, pressed rows. */
  sunken: string;
  /** Hairlines. */
  rule: string;
  /** Lines that carry meaning, at 3:1 or more. */
  ruleStrong: string;
  text: string;
  muted: string;
  accent: string;
  accentStrong: string;
  onAccent: string;
  accentSoft: string;
  /** Words in the accent colour, on a surface or on accentSoft. */
  accentText: string;
  good: string;
  goodSoft: string;
  warn: string;
  warnSoft: string;
  bad: string;
  badSoft: string;
  /** Over the page, under an open event. */
  scrim: string;
  /** Behind a button that lies on a picture, and the button's own colour. */
  onPicture: string;
  picture: string;
}

/** Distances in density-independent pixels. */
export interface Space { xs: number; s: number; m: number; l: number; xl: number; xxl: number }

/** Corner radii in density-independent pixels; round is for pills and circles. */
export interface Radius { s: number; m: number; l: number; xl: number; round: number }

/** Shadows, as CSS box-shadow lists. */
export interface Shadow { card: string; float: string }

export interface Theme {
  scheme: Scheme;
  color: Palette;
  space: Space;
  radius: Radius;
  shadow: Shadow;
  /** A font family for all text. None: the system's own. */
  font: string | undefined;
}

/** What an app changes of the look; everything else stays. */
export type ThemeOverride = { [K in Exclude<keyof Theme, 'scheme' | 'font'>]?: Partial<Theme[K]> } & { font?: string };

/** The smallest edge of anything that can be pressed, in density-independent pixels. */
export const target = 44;

/** The window width from which there is room for the wide layout, in density-independent pixels. */
export const wideFrom = 768;

const space: Space = { xs: 4, s: 8, m: 12, l: 16, xl: 24, xxl: 32 };
const radius: Radius = { s: 10, m: 14, l: 18, xl: 24, round: 999 };

const light: Palette = {
  page: '#f5f4f1', surface: '#ffffff', raised: '#ffffff', sunken: '#f1f0ec', rule: '#e6e4de', ruleStrong: '#8b8996',
  text: '#1c1a24', muted: '#5d5a69',
  accent: '#5636e0', accentStrong: '#452ac0', onAccent: '#ffffff', accentSoft: '#edeafd', accentText: '#4a2dcc',
  good: '#0a6a3c', goodSoft: '#e2f4e9', warn: '#7f4c00', warnSoft: '#fcf0da', bad: '#ae2119', badSoft: '#fdebe9',
  scrim: 'rgba(28, 26, 36, 0.46)', onPicture: 'rgba(20, 18, 28, 0.62)', picture: '#ffffff',
};

const dark: Palette = {
  page: '#100f15', surface: '#191820', raised: '#211f2a', sunken: '#131219', rule: '#2c2a37', ruleStrong: '#777488',
  text: '#eeecf5', muted: '#a7a4b8',
  accent: '#a794ff', accentStrong: '#bdaeff', onAccent: '#17122b', accentSoft: '#2a2447', accentText: '#c0b3ff',
  good: '#6ad7a0', goodSoft: '#14301f', warn: '#f2bd66', warnSoft: '#362711', bad: '#ff9a91', badSoft: '#3b1a18',
  scrim: 'rgba(4, 3, 8, 0.66)', onPicture: 'rgba(20, 18, 28, 0.66)', picture: '#ffffff',
};

const shadows: Record<Scheme, Shadow> = {
  light: {
    card: '0 1px 2px rgba(28, 26, 36, 0.05), 0 8px 24px -14px rgba(28, 26, 36, 0.16)',
    float: '0 1px 3px rgba(28, 26, 36, 0.08), 0 16px 40px -12px rgba(28, 26, 36, 0.28)',
  },
  dark: { card: '0 1px 2px rgba(0, 0, 0, 0.4)', float: '0 20px 48px -12px rgba(0, 0, 0, 0.8)' },
};

/** The theme of a scheme, with what an app changes of it. */
export function createTheme(scheme: Scheme, override: ThemeOverride = {}, font?: string): Theme {
  return {
    scheme,
    color: { ...(scheme === 'dark' ? dark : light), ...override.color },
    space: { ...space, ...override.space },
    radius: { ...radius, ...override.radius },
    shadow: { ...shadows[scheme], ...override.shadow },
    font: override.font ?? font,
  };
}
