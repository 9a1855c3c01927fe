import type { LucideIcon } from 'lucide-react-native';
import { View } from 'react-native';
import { makeStyles, useTheme } from '../../theme';
import { Button } from './Button';
import { Words } from './Words';

export interface NoticeProps {
  icon: LucideIcon;
  text: string;
  tone: 'warn' | 'bad';
  action?: { label: string; onPress: () => void };
}

/** One line about the state of a list that still shows something. Said by screen readers when it appears. */
export function Notice({ icon: Icon, text, tone, action }: NoticeProps) {
  const styles = useStyles();
  const { color } = useTheme();
  return (
    <View style={[styles.notice, tone === 'bad' ? styles.bad : styles.warn]} role="status" accessibilityLiveRegion="polite">
      <View aria-hidden><Icon size={18} color={color[tone]} strokeWidth={2} /></View>
      <Words kind="detail" tone={tone} style={styles.text}>{text}</Words>
      {action && <Button kind="quiet" label={action.label} onPress={action.onPress} />}
    </View>
  );
}

const useStyles = makeStyles(({ color, radius, space }) => ({
  notice: {
    flexDirection: 'row', alignItems: 'center', gap: space.m, minHeight: 48, paddingStart: space.l, paddingEnd: space.xs,
    paddingVertical: 2, borderRadius: radius.m,
  },
  warn: { backgroundColor: color.warnSoft },
  bad: { backgroundColor: color.badSoft },
  text: { flex: 1, paddingVertical: space.s },
}));
