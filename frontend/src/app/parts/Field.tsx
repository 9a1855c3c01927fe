import { useId } from 'react';
import { TextInput, View, type TextInputProps } from 'react-native';
import { focusRing, Words } from '../../core/components';
import { makeStyles, useTheme } from '../../core/theme';

export interface FieldProps extends Omit<TextInputProps, 'style' | 'id'> {
  label: string;
  /** Said below the field. */
  hint?: string;
  /** What is wrong with its text; takes the hint's place. */
  fault?: string;
}

/** A line of text that a person writes. */
export function Field({ label, hint, fault, ...input }: FieldProps) {
  const styles = useStyles();
  const { color } = useTheme();
  const id = useId();
  const below = fault ?? hint;
  // react-native-web hands these on; the types of React Native do not have them.
  const described: object = below === undefined ? {} : { 'aria-describedby': `${id}-below` };
  const wrong: object = fault === undefined ? {} : { 'aria-invalid': true };
  return (
    <View style={styles.field}>
      <Words kind="caption" tone="muted">{label}</Words>
      <TextInput
        {...input}
        {...described}
        {...wrong}
        aria-label={label}
        placeholderTextColor={color.muted}
        selectionColor={color.accent}
        style={[styles.input, fault !== undefined && styles.wrong]}
      />
      {below !== undefined && (
        <Words kind="caption" tone={fault === undefined ? 'muted' : 'bad'} id={`${id}-below`} role={fault === undefined ? undefined : 'alert'}>
          {below}
        </Words>
      )}
    </View>
  );
}

const useStyles = makeStyles((theme) => ({
  field: { gap: 6 },
  input: {
    minHeight: 48, paddingVertical: 10, paddingHorizontal: theme.space.m + 2, borderRadius: theme.radius.m, borderWidth: 1,
    borderColor: theme.color.ruleStrong, backgroundColor: theme.color.surface, color: theme.color.text, fontSize: 16,
    ...(theme.font !== undefined && { fontFamily: theme.font }),
    ...(focusRing(theme) as object), // Expo's types of styles for the web differ between views and texts
  },
  wrong: { borderColor: theme.color.bad },
}));
