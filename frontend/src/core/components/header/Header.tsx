import type { ConnectionState } from '@socialvibes/vibemesh-client';
import ArrowLeft from 'lucide-react-native/icons/arrow-left';
import type { ReactNode } from 'react';
import { I18nManager, View } from 'react-native';
import { useStrings } from '../../i18n';
import { makeStyles } from '../../theme';
import { IconButton } from '../parts/IconButton';
import { useInsets } from '../parts/useInsets';
import { Words } from '../parts/Words';
import { Bell } from './Bell';
import { ConnectionPill } from './ConnectionPill';
import { Mark } from './Mark';

export interface HeaderProps {
  title: string;
  /** How many notifications are unread. */
  unread: number;
  connection: ConnectionState;
  /** The bell was pressed. */
  onBell: () => void;
  /** The list of notifications is what is shown. */
  bellSelected?: boolean;
  /** Leads back; without it the mark stands there. */
  onBack?: () => void;
  /** More buttons, after the bell. */
  children?: ReactNode;
}

/** The bar at the top: where the person is, whether the app is live, and the bell. */
export function Header({ title, unread, connection, onBell, bellSelected, onBack, children }: HeaderProps) {
  const styles = useStyles();
  const t = useStrings();
  const insets = useInsets();
  return (
    <View role="banner" style={[styles.bar, { paddingTop: insets.top }]}>
      <View style={styles.row}>
        {onBack ? (
          <View style={I18nManager.isRTL && styles.mirrored}>
            <IconButton icon={ArrowLeft} label={t('header.back')} tone="text" size={22} onPress={onBack} style={styles.back} />
          </View>
        ) : (
          <Mark />
        )}
        <Words kind="heading" lines={1} style={styles.title}>{title}</Words>
        <ConnectionPill connection={connection} />
        <View style={styles.actions}>
          <Bell unread={unread} onPress={onBell} selected={bellSelected} />
          {children}
        </View>
      </View>
    </View>
  );
}

const useStyles = makeStyles(({ color, space }) => ({
  bar: { backgroundColor: color.surface, borderBottomWidth: 1, borderColor: color.rule, zIndex: 10 },
  row: {
    flexDirection: 'row', alignItems: 'center', gap: space.m, minHeight: 60, width: '100%', maxWidth: 1180, alignSelf: 'center',
    paddingStart: space.l, paddingEnd: space.m,
  },
  back: { marginStart: -space.m },
  mirrored: { transform: [{ scaleX: -1 }] },
  title: { flex: 1, fontWeight: '700', letterSpacing: -0.3 },
  actions: { flexDirection: 'row', alignItems: 'center' },
}));
