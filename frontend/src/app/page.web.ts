// What the app reads of the page that it runs in, and changes of it. page.ts says what each is for.
import { useEffect } from 'react';

export function query(): URLSearchParams {
  return new URLSearchParams(window.location.search);
}

export const origin: string | undefined = window.location.origin;

export function dropQuery(name: string): void {
  const url = new URL(window.location.href);
  url.searchParams.delete(name);
  window.history.replaceState(window.history.state, '', url);
}

export function useLanguageOfPage(language: string): void {
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
}

export function useTitleOfPage(unread: number): void {
  useEffect(() => {
    document.title = unread > 0 ? `(${unread > 99 ? '99+' : unread}) Vibemesh` : 'Vibemesh';
    return () => {
      document.title = 'Vibemesh';
    };
  }, [unread]);
}
