import { useEffect } from 'react';
import { View } from 'react-native';
import Animated, { useAnimatedStyle, useSharedValue, withRepeat, withTiming } from 'react-native-reanimated';
import { useStrings } from '../../i18n';
import { makeStyles, useReducedMotion } from '../../theme';

const widths = ['62%', '48%', '70%', '55%', '64%', '40%'] as const;

/** Rows without words while the first ones are loaded. */
export function SkeletonRows() {
  const styles = useStyles();
  const t = useStrings();
  const still = useReducedMotion();
  const strength = useSharedValue(1);
  useEffect(() => {
    strength.set(still ? 1 : withRepeat(withTiming(0.45, { duration: 900 }), -1, true));
  }, [still, strength]);
  const pulse = useAnimatedStyle(() => ({ opacity: strength.get() }));

  return (
    <View accessible role="progressbar" aria-label={t('notifications.loading')} aria-busy style={styles.card}>
      {widths.map((width, row) => (
        <Animated.View key={width} style={[styles.row, row > 0 && styles.ruled, pulse]}>
          <View style={styles.square} />
          <View style={styles.words}>
            <View style={[styles.line, { width }]} />
            <View style={[styles.line, styles.thin]} />
          </View>
        </Animated.View>
      ))}
    </View>
  );
}

const useStyles = makeStyles(({ color, radius, space }) => ({
  card: { marginTop: space.xl, borderRadius: radius.l, borderWidth: 1, borderColor: color.rule, backgroundColor: color.surface },
  row: { flexDirection: 'row', alignItems: 'center', gap: space.m + 2, minHeight: 76, padding: space.l },
  ruled: { borderTopWidth: 1, borderColor: color.rule },
  square: { width: 44, height: 44, borderRadius: radius.s + 2, backgroundColor: color.rule },
  words: { flex: 1, gap: space.s + 2 },
  line: { height: 12, borderRadius: 6, backgroundColor: color.rule },
  thin: { width: '84%', height: 10 },
}));
