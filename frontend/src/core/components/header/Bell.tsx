import BellIcon from 'lucide-react-native/icons/bell';
import { Pressable, View } from 'react-native';
import { useStrings } from '../../i18n';
import { makeStyles, target, useTheme } from '../../theme';
import { current, fades, focusRing, type PressState } from '../parts/web';
import { Words } from '../parts/Words';

export interface BellProps {
  /** How many notifications are unread. */
  unread: number;
  onPress: () => void;
  /** The list of notifications is what is shown. */
  selected?: boolean;
}

/** The bell with its badge. */
export function Bell({ unread, onPress, selected = false }: BellProps) {
  const styles = useStyles();
  const { color } = useTheme();
  const t = useStrings();
  const label = unread > 0 ? t('bell.unread', { count: unread }) : t('bell.label');
  return (
    <Pressable
      role="button"
      aria-label={label}
      onPress={onPress}
      {...current(selected)}
      style={({ pressed, hovered }: PressState) => [styles.bell, (pressed || hovered) && styles.active, selected && styles.selected]}
    >
      <BellIcon size={22} color={selected ? color.accentText : color.text} strokeWidth={1.9} />
      {unread > 0 && (
        <View style={[styles.badge, unread > 99 && styles.badgeWide]} aria-hidden>
          {/* The badge has no room to grow: the label says the number in full. */}
          <Words style={styles.count} tone="onAccent" maxFontSizeMultiplier={1.2}>{unread > 99 ? '99+' : String(unread)}</Words>
        </View>
      )}
    </Pressable>
  );
}

const useStyles = makeStyles((theme) => ({
  bell: { width: target, height: target, borderRadius: theme.radius.round, alignItems: 'center', justifyContent: 'center', ...fades, ...focusRing(theme, -2) },
  active: { backgroundColor: theme.color.sunken },
  selected: { backgroundColor: theme.color.accentSoft },
  badge: {
    position: 'absolute', top: 0, end: -3, minWidth: 20, height: 20, paddingHorizontal: 5, borderRadius: 10, alignItems: 'center',
    justifyContent: 'center', backgroundColor: theme.color.accent, borderWidth: 2, borderColor: theme.color.surface,
  },
  badgeWide: { top: -3, end: -8 }, // leaves the bell to be seen
  count: { fontSize: 11, lineHeight: 14, fontWeight: '700', fontVariant: ['tabular-nums'] },
}));
