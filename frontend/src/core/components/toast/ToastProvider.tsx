import type { Inbox, Notification } from '@socialvibes/vibemesh-client';
import { createContext, useCallback, useContext, useEffect, useMemo, useState, type ReactNode } from 'react';
import { describeEvent, type Describe } from '../content';
import { createFocusReturn } from '../parts/focusReturn';
import { EventDetailModal, type ActionHandler } from './EventDetailModal';
import { toastDuration } from './EventToast';
import { createHostStack, ToastContext } from './ToastContext';
import { ToastHost, toastsId } from './ToastHost';
import { isEmpty } from './toastQueue';
import { useToastStore, type ToastStore } from './useToastQueue';

/** The part of an inbox that toasts need. */
export type ToastInbox = Pick<Inbox, 'getState' | 'subscribe' | 'onArrival' | 'markRead' | 'markUnread'>;

export interface ToastProviderProps {
  /** Where events come from; none: nobody is signed in. */
  inbox: ToastInbox | undefined;
  /** What to show of an event. One that is not described gets no toast. Keep it the same function between renders. */
  describe?: Describe;
  /** How long a toast stays, in milliseconds; 0: until it is sent away. */
  duration?: number;
  /** How far below the window's top toasts begin on wide windows, in density-independent pixels. */
  offset?: number;
  /** Opens the history: where 'and 12 more' leads. */
  onShowAll?: () => void;
  onAction?: ActionHandler;
  /**
   * The event that is open, or null for none, where the app keeps it: in its navigation, so that Back closes the modal.
   * Left out: it is kept here.
   */
  opened?: Notification | null;
  /** Another event is to be open, or none. */
  onOpenedChange?: (event: Notification | undefined) => void;
  children: ReactNode;
}

const OpenContext = createContext<(event: Notification) => void>(() => {});

/** Opens an event in the modal of the ToastProvider above, and marks it as read: what a list's `onOpen` is for. */
export function useOpenEvent(): (event: Notification) => void {
  return useContext(OpenContext);
}

/** Shows what arrives at an inbox as toasts over its children, and events in a modal. */
export function ToastProvider({
  inbox, describe = describeEvent, duration = toastDuration, offset, onShowAll, onAction, opened: given, onOpenedChange, children,
}: ToastProviderProps) {
  const store = useToastStore();
  const [hosts] = useState(createHostStack);
  const [focus] = useState(() => createFocusReturn(toastsId));
  const [last, setLast] = useState<{ event: Notification | undefined; inbox: ToastInbox | undefined }>();
  const kept = last?.inbox === inbox ? last?.event : undefined; // what one person opened is not for the next
  const opened = given === undefined ? kept : (given ?? undefined);
  useArrivals(store, inbox, describe);

  const change = useCallback(
    (event: Notification | undefined) => {
      setLast({ event, inbox });
      onOpenedChange?.(event);
    },
    [inbox, onOpenedChange],
  );
  const open = useCallback(
    (event: Notification) => {
      change(event);
      if (inbox && isListed(event) && !isKnownRead(inbox, event)) inbox.markRead(event.id);
    },
    [inbox, change],
  );
  const close = useCallback(() => change(undefined), [change]);
  const value = useMemo(
    () => ({
      store, hosts, focus, describe, duration, open,
      showAll: onShowAll && (() => {
        close();
        onShowAll();
      }),
    }),
    [store, hosts, focus, describe, duration, open, close, onShowAll],
  );
  return (
    <OpenContext.Provider value={open}>
      <ToastContext.Provider value={value}>
        {children}
        <ToastHost offset={offset} />
        <EventDetailModal
          event={opened}
          describe={describe}
          onClose={close}
          onAction={onAction}
          onMarkUnread={opened && isListed(opened) ? (event) => inbox?.markUnread(event.id) : undefined}
          over={opened && <ToastHost offset={offset} />}
        />
      </ToastContext.Provider>
    </OpenContext.Provider>
  );
}

// What was sent to a topic is in no history, and so neither read nor unread.
function isListed(event: Notification): boolean {
  return event.to === 'user' || event.to === 'broadcast';
}

// A list marks its items by itself: twice would be two frames.
function isKnownRead(inbox: ToastInbox, event: Notification): boolean {
  return inbox.getState().items.some((item) => item.id === event.id && item.read);
}

function useArrivals(store: ToastStore, inbox: ToastInbox | undefined, describe: Describe) {
  useEffect(() => {
    if (!inbox) return;
    const stopArrivals = inbox.onArrival((event) => {
      const expired = event.expires !== undefined && event.expires <= Date.now();
      if (!expired && describe(event)) store.dispatch({ type: 'arrive', events: [event] });
    });
    const stopReads = inbox.subscribe(() => {
      if (isEmpty(store.getState())) return;
      const ids = new Set(inbox.getState().items.filter((item) => item.read).map((item) => item.id));
      store.dispatch({ type: 'read', ids });
    });
    return () => {
      stopArrivals();
      stopReads();
      store.dispatch({ type: 'clear' }); // what one person was sent is not for the next
    };
  }, [store, inbox, describe]);
}
