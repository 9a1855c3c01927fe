import type { Notification } from '@socialvibes/vibemesh-client';
import X from 'lucide-react-native/icons/x';
import { useState } from 'react';
import { ScrollView, View } from 'react-native';
import { useFormats, useStrings } from '../../i18n';
import { makeStyles } from '../../theme';
import type { Content } from '../content';
import { IconButton } from '../parts/IconButton';
import { Picture } from '../parts/Picture';
import { Thumbnail } from '../parts/Thumbnail';
import { useNow } from '../parts/useNow';
import { focusRing, heading } from '../parts/web';
import { Words } from '../parts/Words';

export interface EventDetailProps {
  event: Notification;
  content: Content;
  onClose: () => void;
}

/** Picture, title and text of an event, as far as they have room; the rest scrolls. */
export function EventDetail({ event, content, onClose }: EventDetailProps) {
  const styles = useStyles();
  const t = useStrings();
  const formats = useFormats();
  const now = useNow();
  const [box, setBox] = useState({ height: 0, content: 0 });
  // What scrolls has to be reachable by keyboard, since the text in it holds nothing that takes the focus.
  const scrolls = box.content > box.height + 1;
  const { title, teaser, description, image } = content;
  const sign = <View style={styles.sign}><Thumbnail image={undefined} to={event.to} /></View>;

  return (
    <View style={styles.detail}>
      <IconButton icon={X} label={t('detail.close')} onPress={onClose} tone={image ? 'picture' : 'muted'} style={[styles.close, image !== undefined && styles.onPicture]} />
      <ScrollView
        key={event.id}
        style={styles.scroll}
        tabIndex={scrolls ? 0 : undefined}
        onLayout={({ nativeEvent }) => setBox((old) => ({ ...old, height: nativeEvent.layout.height }))}
        onContentSizeChange={(_, height) => setBox((old) => ({ ...old, content: height }))}
      >
        {image ? <Picture uri={image} style={styles.picture} fallback={sign} /> : sign}
        <View style={styles.words}>
          <Words kind="caption" tone="muted">{formats.full(event.ts, now)}</Words>
          <Words kind="title" {...heading(1)}>{title}</Words>
          {teaser && <Words kind="lead" tone={description ? 'muted' : 'text'}>{teaser}</Words>}
          {description && <Words selectable style={styles.description}>{description}</Words>}
        </View>
      </ScrollView>
    </View>
  );
}

const useStyles = makeStyles((theme) => ({
  detail: { flexShrink: 1 },
  scroll: { flexGrow: 0, flexShrink: 1, ...focusRing(theme, -4) },
  close: { position: 'absolute', top: theme.space.m, end: theme.space.m, zIndex: 2 },
  onPicture: { backgroundColor: theme.color.onPicture },
  picture: { width: '100%', aspectRatio: 16 / 9, maxHeight: 264 },
  sign: { paddingTop: theme.space.xl, paddingHorizontal: theme.space.xl },
  words: { gap: theme.space.s, paddingHorizontal: theme.space.xl, paddingTop: theme.space.l, paddingBottom: theme.space.xl },
  description: { marginTop: theme.space.xs },
}));
