import type { Message } from './en';

export type Language = 'en' | 'da';
export const languages: readonly Language[] = ['en', 'da'];

/** Texts by key for each language. Every language has the same keys. */
export type Catalogue<K extends string> = Record<Language, Readonly<Record<K, Message>>>;

/** Gives the text of a key. `count` chooses the form; every value replaces its `{name}`. */
export type Translate<K extends string> = (key: K, values?: Readonly<Record<string, string | number>>) => string;

/** The texts of one language. */
export function translator<K extends string>(catalogue: Catalogue<K>, language: Language): Translate<K> {
  return (key, values = {}) => {
    const message = catalogue[language][key];
    const text = typeof message === 'string' ? message : message[pluralForm(language, Number(values.count))];
    return text.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
      const value = values[name];
      if (value === undefined) return placeholder;
      return typeof value === 'number' ? formatNumber(language, value) : value;
    });
  };
}

/** The grammatical number of a count. Engines without Intl.PluralRules get the rule of whole numbers in both languages. */
export function pluralForm(language: Language, count: number): 'one' | 'other' {
  try {
    return new Intl.PluralRules(language).select(count) === 'one' ? 'one' : 'other';
  } catch {
    return count === 1 ? 'one' : 'other';
  }
}

function formatNumber(language: Language, value: number): string {
  try {
    return new Intl.NumberFormat(language).format(value);
  } catch {
    return String(value);
  }
}

/** The language to use for a person who prefers these, best first. English where none is known. */
export function chooseLanguage(preferred: readonly string[]): Language {
  for (const tag of preferred) {
    const language = tag.toLowerCase().split(/[-_]/)[0];
    const known = languages.find((candidate) => candidate === language);
    if (known) return known;
  }
  return 'en';
}
