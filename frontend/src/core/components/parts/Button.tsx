import type { LucideIcon } from 'lucide-react-native';
import { Pressable, View } from 'react-native';
import { makeStyles, target, useTheme, type Palette } from '../../theme';
import { fades, focusRing, type PressState } from './web';
import { Words } from './Words';

export interface ButtonProps {
  label: string;
  onPress: () => void;
  /** `primary` is the one thing to do, `soft` another, `quiet` what may be done as well. */
  kind?: 'primary' | 'soft' | 'quiet';
  icon?: LucideIcon;
  disabled?: boolean;
  /** What happens, for screen readers, where the label does not say it. */
  hint?: string;
  /** Fills the width. */
  grow?: boolean;
}

const tones: Record<NonNullable<ButtonProps['kind']>, keyof Palette> = { primary: 'onAccent', soft: 'accentText', quiet: 'accentText' };

/** A button with words. */
export function Button({ label, onPress, kind = 'primary', icon: Icon, disabled = false, hint, grow = false }: ButtonProps) {
  const styles = useStyles();
  const { color } = useTheme();
  const tone = tones[kind];
  return (
    <Pressable
      role="button"
      aria-label={label}
      accessibilityHint={hint}
      aria-disabled={disabled}
      disabled={disabled}
      onPress={onPress}
      style={({ pressed, hovered }: PressState) => [
        styles.button, styles[kind], grow && styles.grow, (pressed || hovered) && styles[`${kind}Active`], disabled && styles.disabled,
      ]}
    >
      {Icon && <View style={styles.icon}><Icon size={18} color={color[tone]} strokeWidth={2} /></View>}
      <Words kind="item" tone={tone} lines={2} style={styles.label}>{label}</Words>
    </Pressable>
  );
}

const useStyles = makeStyles((theme) => ({
  button: {
    minHeight: target, paddingVertical: 10, paddingHorizontal: theme.space.l + 2, borderRadius: theme.radius.m, maxWidth: '100%', flexShrink: 1,
    flexDirection: 'row', alignItems: 'center', justifyContent: 'center', gap: theme.space.s, ...fades, ...focusRing(theme),
  },
  icon: { flexShrink: 0 },
  label: { flexShrink: 1, textAlign: 'center' },
  grow: { alignSelf: 'stretch', minHeight: 50 },
  primary: { backgroundColor: theme.color.accent },
  primaryActive: { backgroundColor: theme.color.accentStrong },
  soft: { backgroundColor: theme.color.accentSoft },
  softActive: { opacity: 0.85 },
  quiet: { paddingHorizontal: theme.space.m },
  quietActive: { backgroundColor: theme.color.accentSoft },
  disabled: { opacity: 0.5 },
}));
