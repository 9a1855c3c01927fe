import type { LucideIcon } from 'lucide-react-native';
import { View } from 'react-native';
import { makeStyles, useTheme } from '../../theme';
import { Button } from './Button';
import { heading } from './web';
import { Words } from './Words';

export interface BlankProps {
  icon: LucideIcon;
  title: string;
  text: string;
  /** The words on the button, and what it does. */
  action?: { label: string; onPress: () => void };
}

/** What stands where a list has nothing to show, and why. */
export function Blank({ icon: Icon, title, text, action }: BlankProps) {
  const styles = useStyles();
  const { color } = useTheme();
  return (
    <View style={styles.blank}>
      <View style={styles.sign} aria-hidden>
        <Icon size={30} color={color.accentText} strokeWidth={1.8} />
      </View>
      <Words kind="heading" style={styles.centered} {...heading(2)}>{title}</Words>
      <Words kind="detail" tone="muted" style={styles.centered}>{text}</Words>
      {action && <View style={styles.action}><Button kind="soft" label={action.label} onPress={action.onPress} /></View>}
    </View>
  );
}

const useStyles = makeStyles(({ color, space }) => ({
  blank: { alignItems: 'center', alignSelf: 'center', gap: 6, maxWidth: 340, paddingVertical: 72 },
  sign: {
    width: 72, height: 72, borderRadius: 36, marginBottom: space.m, alignItems: 'center', justifyContent: 'center',
    backgroundColor: color.accentSoft,
  },
  centered: { textAlign: 'center' },
  action: { marginTop: space.l },
}));
