import { View } from 'react-native';
import Svg, { Circle, Path, Rect } from 'react-native-svg';
import { useTheme } from '../../theme';

/** The sign of the mesh: three nodes and their lines. */
export function Mark({ size = 30 }: { size?: number }) {
  const { color } = useTheme();
  return (
    <View aria-hidden>
      <Svg width={size} height={size} viewBox="0 0 32 32">
        <Rect width={32} height={32} rx={9} fill={color.accent} />
        <Path d="M8.5 10.5 16 22l7.5-11.5M8.5 10.5h15" fill="none" stroke={color.onAccent} strokeWidth={2.2} strokeLinecap="round" opacity={0.55} />
        <Circle cx={8.5} cy={10.5} r={3.2} fill={color.onAccent} />
        <Circle cx={23.5} cy={10.5} r={3.2} fill={color.onAccent} />
        <Circle cx={16} cy={22} r={3.8} fill={color.onAccent} />
      </Svg>
    </View>
  );
}
