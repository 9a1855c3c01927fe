import { createContext, useContext, useMemo, type ReactNode } from 'react';
import { Platform, useColorScheme, useWindowDimensions } from 'react-native';
import { createTheme, wideFrom, type Scheme, type Theme, type ThemeOverride } from './tokens';

// A browser has no font of its own for apps: these are the faces that its system uses.
const webFont = '-apple-system, BlinkMacSystemFont, "Segoe UI Variable Text", "Segoe UI", Roboto, Inter, "Helvetica Neue", Arial, sans-serif';
const font = Platform.OS === 'web' ? webFont : undefined;
const themes: Record<Scheme, Theme> = { light: createTheme('light', {}, font), dark: createTheme('dark', {}, font) };

const ThemeContext = createContext<Theme | undefined>(undefined);

export interface ThemeProviderProps {
  /** Which scheme to show; `system`, the default, follows the device. */
  scheme?: Scheme | 'system';
  /** What the app changes, for both schemes or by scheme. Keep it the same object between renders. */
  override?: ThemeOverride | ((scheme: Scheme) => ThemeOverride);
  children: ReactNode;
}

/** Gives everything below it a theme. */
export function ThemeProvider({ scheme = 'system', override, children }: ThemeProviderProps) {
  const system = useSystemScheme();
  const chosen = scheme === 'system' ? system : scheme;
  const theme = useMemo(
    () => (override ? createTheme(chosen, typeof override === 'function' ? override(chosen) : override, font) : themes[chosen]),
    [chosen, override],
  );
  return <ThemeContext.Provider value={theme}>{children}</ThemeContext.Provider>;
}

/** The theme here: the nearest provider's, or else the default one in the device's scheme. */
export function useTheme(): Theme {
  const system = useSystemScheme();
  return useContext(ThemeContext) ?? themes[system];
}

/** Whether the window has room for the wide layout. */
export function useWide(): boolean {
  return useWindowDimensions().width >= wideFrom;
}

function useSystemScheme(): Scheme {
  return useColorScheme() === 'dark' ? 'dark' : 'light';
}
