import { useState, type ReactNode } from 'react';
import { Image, View, type StyleProp, type ViewStyle } from 'react-native';
import { makeStyles } from '../../theme';

export interface PictureProps {
  /** An address that `safeImage` let pass. */
  uri: string;
  /** What stands there when the picture cannot be loaded. None: nothing, and no room is kept. */
  fallback?: ReactNode;
  style?: StyleProp<ViewStyle>;
}

/** A picture that only decorates: its event's words say what it shows. */
export function Picture({ uri, fallback = null, style }: PictureProps) {
  const styles = useStyles();
  const [failed, setFailed] = useState<string>();
  if (failed === uri) return <>{fallback}</>;
  return (
    <View style={[styles.frame, style]} aria-hidden>
      <Image source={{ uri }} style={styles.image} resizeMode="cover" accessible={false} alt="" onError={() => setFailed(uri)} />
    </View>
  );
}

const useStyles = makeStyles(({ color }) => ({
  frame: { overflow: 'hidden', backgroundColor: color.sunken },
  image: { width: '100%', height: '100%' },
}));
