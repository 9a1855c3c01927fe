import { useCallback, useMemo, useState } from 'react';
import type { Notification } from '../core/ws/types';
import { useInbox } from '../core/ws/WebSocketProvider';
import type { Navigation } from './navigation/useTrail';

/** Keeps which event is open in the path that the person came by, so that Back closes it. For ToastProvider. */
export function useOpened({ route, open, close }: Navigation) {
  const { items } = useInbox();
  const [last, setLast] = useState<Notification>(); // it may be of a topic, and in no list
  const opened = useMemo(() => {
    if (route.event === undefined) return null;
    return items.find((item) => item.id === route.event) ?? (last?.id === route.event ? last : null);
  }, [route.event, items, last]);
  const onOpenedChange = useCallback((event: Notification | undefined) => {
    if (!event) return close();
    setLast(event);
    open(event.id);
  }, [open, close]);
  return { opened, onOpenedChange };
}
