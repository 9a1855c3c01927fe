import { useEffect, useState } from 'react';
import { AccessibilityInfo, Platform, Text } from 'react-native';
import { useStrings } from '../../i18n';
import { makeStyles } from '../../theme';
import type { Content } from '../content';
import { sentences } from '../parts/sentences';

export interface AnnouncerProps {
  toasts: readonly { readonly key: string; readonly revision: number; readonly content: Content }[];
  /** How many others there are. */
  more: number;
}

/**
 * Has screen readers say what appears, without taking the focus. The words are apart from the toasts, so that their
 * buttons are not read out with them, and in a live region that is there before them: one that comes with its words is silent.
 */
export function Announcer({ toasts, more }: AnnouncerProps) {
  const styles = useStyles();
  const t = useStrings();
  const [said, setSaid] = useState<ReadonlySet<string>>(new Set());
  const [words, setWords] = useState('');
  const name = (toast: AnnouncerProps['toasts'][number]) => `${toast.key} ${toast.revision}`;
  const fresh = toasts.filter((toast) => !said.has(name(toast)));

  if (fresh.length > 0) {
    setSaid(new Set(toasts.map(name)));
    const texts = fresh.flatMap(({ content }) => [content.title, content.teaser]);
    setWords(sentences(...texts, more > 0 && t('toast.more', { count: more })));
  }
  useEffect(() => {
    // iOS knows no live regions.
    if (Platform.OS === 'ios' && words !== '') AccessibilityInfo.announceForAccessibility(words);
  }, [words]);

  return <Text role="status" accessibilityLiveRegion="polite" style={styles.unseen}>{words}</Text>;
}

const useStyles = makeStyles(() => ({
  unseen: { position: 'absolute', width: 1, height: 1, overflow: 'hidden', opacity: 0.01, top: 0, start: 0, fontSize: 1 },
}));
