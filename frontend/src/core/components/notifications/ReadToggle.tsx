import { useState } from 'react';
import { Pressable, View } from 'react-native';
import { useStrings } from '../../i18n';
import { makeStyles, target } from '../../theme';
import { fades, focusRing, type PressState } from '../parts/web';

export interface ReadToggleProps {
  unread: boolean;
  /** The row is pointed at: a read one shows where to mark it as unread. */
  pointed: boolean;
  onPress: () => void;
}

/** The dot of an unread row, which is also the button that changes it. */
export function ReadToggle({ unread, pointed, onPress }: ReadToggleProps) {
  const styles = useStyles();
  const t = useStrings();
  const [focused, setFocused] = useState(false);
  return (
    <Pressable
      role="button"
      aria-label={unread ? t('notifications.markRead') : t('notifications.markUnread')}
      onPress={onPress}
      onFocus={() => setFocused(true)}
      onBlur={() => setFocused(false)}
      style={styles.button}
    >
      {({ hovered, pressed }: PressState) => (
        <View style={[styles.halo, (hovered || pressed) && styles.haloActive]}>
          <View style={[styles.dot, unread ? styles.unread : styles.read, !unread && !pointed && !focused && styles.unseen]} />
        </View>
      )}
    </Pressable>
  );
}

const useStyles = makeStyles((theme) => ({
  button: { width: target, height: target, marginTop: -10, alignItems: 'center', justifyContent: 'center', borderRadius: theme.radius.m, ...focusRing(theme, -6) },
  halo: { width: 28, height: 28, borderRadius: 14, alignItems: 'center', justifyContent: 'center', ...fades },
  haloActive: { backgroundColor: theme.color.accentSoft },
  dot: { width: 10, height: 10, borderRadius: 5, ...fades },
  unread: { backgroundColor: theme.color.accent },
  read: { borderWidth: 1.5, borderColor: theme.color.ruleStrong },
  unseen: { opacity: 0 },
}));
