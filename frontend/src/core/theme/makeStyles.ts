import { StyleSheet } from 'react-native';
import { useTheme } from './ThemeProvider';
import type { Theme } from './tokens';

/** Makes a hook of styles that depend on the theme. They are made once for each theme, not once for each component. */
export function makeStyles<T extends StyleSheet.NamedStyles<T>>(create: (theme: Theme) => T): () => T {
  const made = new WeakMap<Theme, T>();
  return function useStyles() {
    const theme = useTheme();
    let styles = made.get(theme);
    if (!styles) {
      styles = StyleSheet.create(create(theme));
      made.set(theme, styles);
    }
    return styles;
  };
}
