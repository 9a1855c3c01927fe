import type { LucideIcon } from 'lucide-react-native';
import { Pressable, type StyleProp, type ViewStyle } from 'react-native';
import { makeStyles, target, useTheme, type Palette } from '../../theme';
import { fades, focusRing, type PressState } from './web';

export interface IconButtonProps {
  icon: LucideIcon;
  /** What it does: the only words it has. */
  label: string;
  onPress: () => void;
  tone?: keyof Palette;
  size?: number;
  disabled?: boolean;
  style?: StyleProp<ViewStyle>;
}

/** A round button with an icon. */
export function IconButton({ icon: Icon, label, onPress, tone = 'muted', size = 20, disabled = false, style }: IconButtonProps) {
  const styles = useStyles();
  const { color } = useTheme();
  return (
    <Pressable
      role="button"
      aria-label={label}
      disabled={disabled}
      onPress={onPress}
      style={({ pressed, hovered }: PressState) => [styles.button, (pressed || hovered) && styles.active, disabled && styles.disabled, style]}
    >
      <Icon size={size} color={color[tone]} strokeWidth={2} />
    </Pressable>
  );
}

const useStyles = makeStyles((theme) => ({
  button: {
    width: target, height: target, borderRadius: theme.radius.round, alignItems: 'center', justifyContent: 'center',
    ...fades, ...focusRing(theme, -2),
  },
  active: { backgroundColor: theme.color.sunken },
  disabled: { opacity: 0.5 },
}));
