import { getLocales, useLocales } from 'expo-localization';
import { createContext, useContext, useMemo, type ReactNode } from 'react';
import { da } from './da';
import { dateInWords, daysBetween, timeOfDay } from './dates';
import { en } from './en';
import { chooseLanguage, translator, type Catalogue, type Language, type Translate } from './translate';

/** Times and dates in the person's language. All moments are in milliseconds since 1970. */
export interface Formats {
  /** The heading of a day: Today, Yesterday, or the date. */
  day(ts: number, now: number): string;
  /** How an item says when it was: Now, 5 min, or the time of day. */
  moment(ts: number, now: number): string;
  /** Day and time, such as Today at 14:05. */
  full(ts: number, now: number): string;
}

interface I18n { language: Language; locale: string; t: Translate<keyof typeof en>; formats: Formats }

const components = { en, da };
const I18nContext = createContext<I18n | undefined>(undefined);

export interface I18nProviderProps {
  /** The language; `system`, the default, follows the device. */
  language?: Language | 'system';
  children: ReactNode;
}

/** Gives everything below it a language. */
export function I18nProvider({ language = 'system', children }: I18nProviderProps) {
  const tags = tagsOf(useLocales());
  const value = useMemo(() => i18nOf(language, tags.split(' ')), [language, tags]);
  return <I18nContext.Provider value={value}>{children}</I18nContext.Provider>;
}

/** The texts of the components: `t('bell.unread', { count: 5 })`. Works without a provider, in the device's language. */
export function useStrings(): Translate<keyof typeof en> {
  return useI18n().t;
}

/** The same for texts of the app's own. Keep the catalogue outside of the component. */
export function useCatalogue<K extends string>(catalogue: Catalogue<K>): Translate<K> {
  const { language } = useI18n();
  return useMemo(() => translator(catalogue, language), [catalogue, language]);
}

/** Times and dates in the language here. */
export function useFormats(): Formats {
  return useI18n().formats;
}

/** The language here. */
export function useLanguage(): Language {
  return useI18n().language;
}

// Without a provider: the device's language as it was at the first text, so that not every text listens to the device.
let device: I18n | undefined;

function useI18n(): I18n {
  return useContext(I18nContext) ?? (device ??= i18nOf('system', tagsOf(getLocales()).split(' ')));
}

function tagsOf(locales: readonly { languageTag: string }[]): string {
  return locales.map((locale) => locale.languageTag).join(' ');
}

function i18nOf(chosen: Language | 'system', tags: readonly string[]): I18n {
  const language = chosen === 'system' ? chooseLanguage(tags) : chosen;
  const locale = localeOf(language, tags);
  const t = translator(components, language);
  return { language, locale, t, formats: formatsOf(language, locale, t) };
}

// The person's own variant of the language decides on 12 or 24 hours and on the order of day and month.
function localeOf(language: Language, tags: readonly string[]): string {
  const own = tags.find((tag) => chooseLanguage([tag]) === language && tag.toLowerCase().startsWith(language));
  return own ?? (language === 'da' ? 'da-DK' : 'en-GB');
}

function formatsOf(language: Language, locale: string, t: Translate<keyof typeof en>): Formats {
  const time = (ts: number) => timeOfDay(locale, language, ts);
  const day = (ts: number, now: number) => {
    const days = daysBetween(ts, now);
    if (days <= 0) return t('time.today'); // a server's clock that is ahead must not open a day of its own
    return days === 1 ? t('time.yesterday') : dateInWords(locale, language, ts, now);
  };
  const moment = (ts: number, now: number) => {
    const minutes = Math.floor((now - ts) / 60_000);
    if (minutes < 1) return t('time.now');
    return minutes < 60 ? t('time.minutes', { count: minutes }) : time(ts);
  };
  return { day, moment, full: (ts, now) => t('time.at', { day: day(ts, now), time: time(ts) }) };
}
