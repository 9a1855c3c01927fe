export { makeStyles } from './makeStyles';
export { useReducedMotion } from './motion';
export { ThemeProvider, useTheme, useWide, type ThemeProviderProps } from './ThemeProvider';
export { createTheme, target, wideFrom, type Palette, type Scheme, type Theme, type ThemeOverride } from './tokens';
