import type { Audience } from '@socialvibes/vibemesh-client';
import Bell from 'lucide-react-native/icons/bell';
import Hash from 'lucide-react-native/icons/hash';
import Megaphone from 'lucide-react-native/icons/megaphone';
import { View } from 'react-native';
import { makeStyles, useTheme } from '../../theme';
import { Picture } from './Picture';

export interface ThumbnailProps {
  image: string | undefined;
  to: Audience;
}

/** The small square of an event: its picture, or else a sign of whom it is for. */
export function Thumbnail({ image, to }: ThumbnailProps) {
  const styles = useStyles();
  const { color } = useTheme();
  const Icon = to === 'broadcast' ? Megaphone : to === 'user' ? Bell : Hash;
  const sign = (
    <View style={[styles.square, styles.sign]} aria-hidden>
      <Icon size={20} color={color.accentText} strokeWidth={2} />
    </View>
  );
  return image ? <Picture uri={image} fallback={sign} style={styles.square} /> : sign;
}

const useStyles = makeStyles(({ color, radius }) => ({
  square: { width: 44, height: 44, borderRadius: radius.s + 2, flexShrink: 0 },
  sign: { alignItems: 'center', justifyContent: 'center', backgroundColor: color.accentSoft },
}));
