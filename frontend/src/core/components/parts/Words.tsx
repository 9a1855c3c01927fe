import type { ReactNode } from 'react';
import { Text, type StyleProp, type TextProps, type TextStyle } from 'react-native';
import { makeStyles, useTheme, type Palette } from '../../theme';

export type WordsKind = 'display' | 'title' | 'heading' | 'lead' | 'body' | 'item' | 'detail' | 'caption';

export interface WordsProps extends Omit<TextProps, 'style'> {
  kind?: WordsKind;
  tone?: keyof Palette;
  /**
   * Other words follow in the same button. A space keeps them apart for what reads the button's text as a whole, such as
   * speech control; nobody sees it.
   */
  followed?: boolean;
  /** The most lines to show; an ellipsis says that there is more. */
  lines?: number;
  style?: StyleProp<TextStyle>;
  children: ReactNode;
}

/** Text in one of the theme's kinds. */
export function Words({ kind = 'body', tone = 'text', lines, followed = false, style, children, ...rest }: WordsProps) {
  const styles = useStyles();
  const { color } = useTheme();
  return (
    <Text {...rest} numberOfLines={lines} style={[styles.base, styles[kind], { color: color[tone] }, style]}>
      {followed ? <>{children}{' '}</> : children}
    </Text>
  );
}

const useStyles = makeStyles(({ font }) => ({
  base: { ...(font !== undefined && { fontFamily: font }) },
  display: { fontSize: 30, lineHeight: 36, fontWeight: '700', letterSpacing: -0.8 },
  title: { fontSize: 23, lineHeight: 29, fontWeight: '700', letterSpacing: -0.5 },
  heading: { fontSize: 17, lineHeight: 23, fontWeight: '600', letterSpacing: -0.2 },
  lead: { fontSize: 17, lineHeight: 26, fontWeight: '500', letterSpacing: -0.1 },
  body: { fontSize: 16, lineHeight: 25 },
  item: { fontSize: 15, lineHeight: 21, fontWeight: '600', letterSpacing: -0.1 },
  detail: { fontSize: 14, lineHeight: 20 },
  caption: { fontSize: 13, lineHeight: 18, fontWeight: '500' },
}));
