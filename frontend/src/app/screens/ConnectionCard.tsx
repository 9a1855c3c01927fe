import { CloseCode } from '@socialvibes/vibemesh-client';
import { View } from 'react-native';
import { Button, Words } from '../../core/components';
import { makeStyles, useTheme, type Palette } from '../../core/theme';
import type { ConnectionState } from '../../core/ws/types';
import { useWS } from '../../core/ws/WebSocketProvider';
import { Card } from '../parts/Card';
import { useAppStrings } from '../strings';

const dots: Record<ConnectionState, keyof Palette> = {
  live: 'good', connecting: 'warn', waiting: 'warn', offline: 'warn', stopped: 'muted', refused: 'bad',
};

export interface ConnectionCardProps {
  server: string;
  onSignOut: () => void;
}

/** How the connection is, and what the person can do about it. */
export function ConnectionCard({ server, onSignOut }: ConnectionCardProps) {
  const styles = useStyles();
  const { color } = useTheme();
  const t = useAppStrings();
  const { state, closeCode, reconnect } = useWS();
  const ended = state === 'refused' && closeCode === CloseCode.Disconnected;
  const shown = ended ? 'ended' : state;
  return (
    <Card>
      <View style={styles.row}>
        <View style={[styles.dot, { backgroundColor: color[dots[state]] }]} aria-hidden />
        <View style={styles.words} role="status" accessibilityLiveRegion="polite">
          <Words kind="item">{t(`connection.${shown}`)}</Words>
          <Words kind="detail" tone="muted">{t(`connection.${shown}Text`)}</Words>
        </View>
      </View>
      <Words kind="caption" tone="muted">{server}</Words>
      {ended && <Button kind="soft" label={t('connection.again')} onPress={reconnect} />}
      {state === 'refused' && !ended && <Button kind="soft" label={t('connection.signInAgain')} onPress={onSignOut} />}
    </Card>
  );
}

const useStyles = makeStyles(({ space }) => ({
  row: { flexDirection: 'row', gap: space.m },
  words: { flex: 1, gap: 2 },
  dot: { width: 10, height: 10, borderRadius: 5, marginTop: 6 },
}));
