// What the app reads of the page that it runs in, and changes of it. A phone has no page.

/** The query of the page's address. */
export function query(): URLSearchParams {
  return new URLSearchParams();
}

/** The origin that the page came from. */
export const origin: string | undefined = undefined;

/** Takes a parameter out of the page's address. */
export function dropQuery(_name: string): void {}

/** Says in which language the page is. */
export function useLanguageOfPage(_language: string): void {}

/** Says in the page's title how many are unread. */
export function useTitleOfPage(_unread: number): void {}
