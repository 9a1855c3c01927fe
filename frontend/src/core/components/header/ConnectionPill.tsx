import type { ConnectionState } from '@socialvibes/vibemesh-client';
import { useEffect, useState } from 'react';
import { View } from 'react-native';
import { useStrings } from '../../i18n';
import { makeStyles } from '../../theme';
import { Words } from '../parts/Words';

/** How long a connection may be gone before the person is told, in milliseconds: most come back at once. */
export const patience = 1500;

export interface ConnectionPillProps {
  connection: ConnectionState;
}

/** Says that the app is not live, and nothing when it is. */
export function ConnectionPill({ connection }: ConnectionPillProps) {
  const styles = useStyles();
  const t = useStrings();
  const live = connection === 'live';
  const overdue = useOverdue(!live);
  const told = !live && (overdue || connection === 'offline' || connection === 'refused');
  const bad = connection === 'refused' || connection === 'stopped';
  return (
    <View role="status" accessibilityLiveRegion="polite" style={styles.place}>
      {told && (
        <View style={[styles.pill, bad ? styles.bad : styles.warn]}>
          <View style={[styles.dot, bad ? styles.badDot : styles.warnDot]} aria-hidden />
          <Words kind="caption" tone={bad ? 'bad' : 'warn'} lines={1} style={styles.words}>{t(`connection.${connection}`)}</Words>
        </View>
      )}
    </View>
  );
}

// Whether something has lasted longer than the patience.
function useOverdue(waiting: boolean): boolean {
  const [overdue, setOverdue] = useState(false);
  if (!waiting && overdue) setOverdue(false);
  useEffect(() => {
    if (!waiting) return;
    const timer = setTimeout(() => setOverdue(true), patience);
    return () => clearTimeout(timer);
  }, [waiting]);
  return overdue;
}

const useStyles = makeStyles(({ color, radius }) => ({
  place: { flexShrink: 1 },
  pill: { flexDirection: 'row', alignItems: 'center', gap: 7, paddingVertical: 5, paddingStart: 10, paddingEnd: 12, borderRadius: radius.round },
  words: { flexShrink: 1 },
  warn: { backgroundColor: color.warnSoft },
  bad: { backgroundColor: color.badSoft },
  dot: { width: 7, height: 7, borderRadius: 4 },
  warnDot: { backgroundColor: color.warn },
  badDot: { backgroundColor: color.bad },
}));
