import type { ReactNode } from 'react';
import { KeyboardAvoidingView, Platform, ScrollView, View } from 'react-native';
import { useInsets } from '../../core/components/parts/useInsets';
import { makeStyles } from '../../core/theme';

export interface PageProps {
  /** A header stands above, and keeps clear of the device's own bar; what lies below it is the main part already. */
  underHeader?: boolean;
  /** In the middle of the window, where there is nothing else, as for signing in. */
  centered?: boolean;
  /** Widest content, in density-independent pixels. */
  width?: number;
  children: ReactNode;
}

/** A screen whose content scrolls, and makes room for a keyboard. */
export function Page({ underHeader = false, centered = false, width = 680, children }: PageProps) {
  const styles = useStyles();
  const { top, bottom, left, right } = useInsets();
  return (
    <KeyboardAvoidingView style={styles.page} behavior={Platform.OS === 'ios' ? 'padding' : undefined}>
      <ScrollView
        style={styles.scroll}
        keyboardShouldPersistTaps="handled"
        contentContainerStyle={[
          styles.content, centered && styles.centered,
          { paddingTop: underHeader ? 0 : top, paddingBottom: bottom, paddingLeft: left, paddingRight: right },
        ]}
      >
        <View role={underHeader ? undefined : 'main'} style={[styles.column, { maxWidth: width }]}>{children}</View>
      </ScrollView>
    </KeyboardAvoidingView>
  );
}

const useStyles = makeStyles(({ color, space }) => ({
  page: { flex: 1, backgroundColor: color.page },
  scroll: { flex: 1 },
  content: { flexGrow: 1, alignItems: 'center' },
  centered: { justifyContent: 'center' },
  column: { width: '100%', padding: space.l, paddingBottom: space.xxl, gap: space.l },
}));
