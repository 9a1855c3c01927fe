import type { Language } from './translate';

// Dates by Intl where the engine has it, and otherwise by the tables below: a date must never keep a list from showing.

const names: Record<Language, { days: string[]; months: string[] }> = {
  en: {
    days: ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'],
    months: ['January', 'February', 'March', 'April', 'May', 'June', 'July', 'August', 'September', 'October', 'November', 'December'],
  },
  da: {
    days: ['søndag', 'mandag', 'tirsdag', 'onsdag', 'torsdag', 'fredag', 'lørdag'],
    months: ['januar', 'februar', 'marts', 'april', 'maj', 'juni', 'juli', 'august', 'september', 'oktober', 'november', 'december'],
  },
};

/** The time of day, such as 14:05. `locale` is a BCP 47 tag; `ts` is in milliseconds since 1970. */
export function timeOfDay(locale: string, language: Language, ts: number): string {
  return format(locale, { timeStyle: 'short' }, ts) ?? plainTime(language, new Date(ts));
}

/** The date in words, such as Monday 17 November, with the year when it is not `now`'s. */
export function dateInWords(locale: string, language: Language, ts: number, now: number): string {
  const date = new Date(ts);
  const sameYear = date.getFullYear() === new Date(now).getFullYear();
  const year = sameYear ? undefined : 'numeric';
  const text = format(locale, { weekday: 'long', day: 'numeric', month: 'long', year }, ts) ?? plainDate(language, date, sameYear);
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** How many midnights of the local clock lie between two moments; 0 is the same day, negative is the future. */
export function daysBetween(ts: number, now: number): number {
  const midnight = (ms: number) => {
    const date = new Date(ms);
    return Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()); // a day of the clocks' change is as long as any
  };
  return (midnight(now) - midnight(ts)) / 86_400_000;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(locale: string, options: Intl.DateTimeFormatOptions, ts: number): string | undefined {
  const key = locale + JSON.stringify(options);
  try {
    let found = formats.get(key);
    if (!found) formats.set(key, (found = new Intl.DateTimeFormat(locale, options)));
    return found.format(ts);
  } catch {
    return undefined; // no Intl, an unknown locale, or a time that is no date
  }
}

function plainTime(language: Language, date: Date): string {
  const two = (value: number) => String(value).padStart(2, '0');
  return Number.isNaN(date.getTime()) ? '' : `${two(date.getHours())}${language === 'da' ? '.' : ':'}${two(date.getMinutes())}`;
}

function plainDate(language: Language, date: Date, sameYear: boolean): string {
  if (Number.isNaN(date.getTime())) return '';
  const { days, months } = names[language];
  const day = language === 'da' ? `${date.getDate()}.` : String(date.getDate());
  return `${days[date.getDay()]} ${day} ${months[date.getMonth()]}${sameYear ? '' : ` ${date.getFullYear()}`}`;
}
