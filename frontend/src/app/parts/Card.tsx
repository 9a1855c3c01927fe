import type { ReactNode } from 'react';
import { View, type StyleProp, type ViewStyle } from 'react-native';
import { heading, Words } from '../../core/components';
import { makeStyles } from '../../core/theme';

export interface CardProps {
  title?: string;
  /** What stands beside the title. */
  aside?: ReactNode;
  style?: StyleProp<ViewStyle>;
  children: ReactNode;
}

/** A surface that holds what belongs together. */
export function Card({ title, aside, style, children }: CardProps) {
  const styles = useStyles();
  return (
    <View style={[styles.card, style]}>
      {title !== undefined && (
        <View style={styles.top}>
          <Words kind="heading" style={styles.title} {...heading(2)}>{title}</Words>
          {aside}
        </View>
      )}
      {children}
    </View>
  );
}

const useStyles = makeStyles(({ color, radius, shadow, space }) => ({
  card: {
    padding: space.xl - 4, gap: space.l, borderRadius: radius.l, borderWidth: 1, borderColor: color.rule,
    backgroundColor: color.surface, boxShadow: shadow.card,
  },
  top: { flexDirection: 'row', alignItems: 'center', gap: space.m },
  title: { flex: 1 },
}));
