import { useRef } from 'react';
import { Platform, Pressable, View } from 'react-native';
import { fades, focusRing, Words, type PressState } from '../../core/components';
import { makeStyles, target } from '../../core/theme';

export interface ChoiceProps<T extends string> {
  /** What is chosen, for screen readers. */
  label: string;
  options: readonly { value: T; label: string }[];
  value: T;
  onChange: (value: T) => void;
}

/** How far a key of a keyboard moves the choice. */
const moves: Partial<Record<string, number>> = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 };

/** One of a few, side by side. In a browser it is one stop of the Tab key, and the arrows choose. */
export function Choice<T extends string>({ label, options, value, onChange }: ChoiceProps<T>) {
  const styles = useStyles();
  const buttons = useRef(new Map<T, View>());
  const onKeyDown = (event: { key: string; preventDefault(): void }) => {
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault(); // the arrows would scroll the page
    const next = options.at((options.findIndex((option) => option.value === value) + move) % options.length);
    if (!next) return;
    onChange(next.value);
    buttons.current.get(next.value)?.focus();
  };
  const keys: object = { onKeyDown }; // of browsers; React Native's types do not have it
  return (
    <View style={styles.group} role="radiogroup" aria-label={label} {...keys}>
      {options.map((option) => {
        const chosen = option.value === value;
        return (
          <Pressable
            key={option.value}
            ref={(button) => {
              if (button) buttons.current.set(option.value, button);
              else buttons.current.delete(option.value);
            }}
            role="radio"
            aria-checked={chosen}
            aria-label={option.label}
            tabIndex={Platform.OS === 'web' && !chosen ? -1 : undefined}
            onPress={() => onChange(option.value)}
            style={({ hovered }: PressState) => [styles.option, hovered && styles.hovered, chosen && styles.chosen]}
          >
            <Words kind="item" tone={chosen ? 'text' : 'muted'} lines={2} style={styles.label}>{option.label}</Words>
          </Pressable>
        );
      })}
    </View>
  );
}

const useStyles = makeStyles((theme) => ({
  group: { flexDirection: 'row', padding: 4, gap: 4, borderRadius: theme.radius.m + 2, backgroundColor: theme.color.sunken },
  option: {
    flex: 1, minHeight: target, paddingVertical: 6, paddingHorizontal: theme.space.s, borderRadius: theme.radius.m - 2,
    alignItems: 'center', justifyContent: 'center', ...fades, ...focusRing(theme, -2),
  },
  hovered: { backgroundColor: theme.color.rule },
  chosen: { backgroundColor: theme.color.raised, boxShadow: theme.shadow.card },
  label: { textAlign: 'center' },
}));
