import { render, renderHook, screen } from '@testing-library/react-native';
import type { ReactNode } from 'react';
import { Text } from 'react-native';
import { I18nProvider, useCatalogue, useFormats, useLanguage, useStrings, type Language } from '.';
import { da } from './da';
import { dateInWords, daysBetween, timeOfDay } from './dates';
import { en, type Message } from './en';
import { chooseLanguage, pluralForm, translator } from './translate';

const mockTags = jest.fn(() => ['en-GB']);
jest.mock('expo-localization', () => {
  const locales = () => mockTags().map((languageTag: string) => ({ languageTag }));
  return { getLocales: locales, useLocales: locales };
});

const forms = (message: Message) => (typeof message === 'string' ? [message] : Object.values(message));
const placeholders = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(String).sort();
const within = (language: Language) =>
  function Wrapper({ children }: { children: ReactNode }) {
    return <I18nProvider language={language}>{children}</I18nProvider>;
  };

describe('the languages', () => {
  test('have the same keys', () => {
    expect(Object.keys(da).sort()).toEqual(Object.keys(en).sort());
  });

  test.each(Object.keys(en) as (keyof typeof en)[])('say %s with the same forms and values', (key) => {
    expect(typeof da[key]).toBe(typeof en[key]);
    for (const text of [...forms(en[key]), ...forms(da[key])]) {
      expect(text.trim()).not.toBe('');
      expect(placeholders(text)).toEqual(placeholders(forms(en[key])[0] ?? ''));
    }
  });

  test('are not each other', () => {
    const same = Object.keys(en).filter((key) => JSON.stringify(en[key as keyof typeof en]) === JSON.stringify(da[key as keyof typeof en]));
    expect(same).toEqual(['connection.offline']); // the word is the same
  });
});

describe('translate', () => {
  const t = translator({ en, da }, 'da');

  test('chooses the form by the count', () => {
    expect(t('bell.unread', { count: 1 })).toBe('Notifikationer, 1 ulæst');
    expect(t('bell.unread', { count: 5 })).toBe('Notifikationer, 5 ulæste');
    expect(t('bell.unread', { count: 0 })).toBe('Notifikationer, 0 ulæste');
    expect(t('bell.unread', { count: 1000 })).toBe('Notifikationer, 1.000 ulæste');
  });

  test('puts values in as they are, and once', () => {
    expect(t('time.at', { day: '{time}', time: '$&' })).toBe('{time} kl. $&');
    expect(t('time.at', { day: 'I dag' })).toBe('I dag kl. {time}');
  });

  test('has a rule of its own where the engine has none', () => {
    const rules = jest.spyOn(Intl, 'PluralRules').mockImplementation(() => {
      throw new TypeError('Intl.PluralRules is not a constructor');
    });
    expect([0, 1, 2, 21].map((count) => pluralForm('da', count))).toEqual(['other', 'one', 'other', 'other']);
    rules.mockRestore();
    expect([0, 1, 2, 21].map((count) => pluralForm('da', count))).toEqual(['other', 'one', 'other', 'other']);
  });
});

test('the first language that is known is taken', () => {
  expect(chooseLanguage(['de-DE', 'da-DK', 'en-US'])).toBe('da');
  expect(chooseLanguage(['EN_us'])).toBe('en');
  expect(chooseLanguage(['dav-KE', 'fr'])).toBe('en');
  expect(chooseLanguage([])).toBe('en');
});

describe('dates', () => {
  const at = (day: number, hour: number, minute = 0, year = 2026) => new Date(year, 10, day, hour, minute).getTime();
  const now = at(23, 12);

  test('are those of the language', () => {
    expect(timeOfDay('en-GB', 'en', at(23, 9, 5))).toBe('09:05');
    expect(timeOfDay('da-DK', 'da', at(23, 9, 5))).toBe('09.05');
    expect(dateInWords('en-GB', 'en', at(16, 9), now)).toMatch(/^Monday,? 16 November$/);
    expect(dateInWords('da-DK', 'da', at(16, 9), now)).toMatch(/^Mandag( den)? 16\. november$/);
    expect(dateInWords('da-DK', 'da', at(16, 9, 0, 2025), now)).toMatch(/^Søndag( den)? 16\. november 2025$/);
  });

  test('do without Intl', () => {
    const format = jest.spyOn(Intl, 'DateTimeFormat').mockImplementation(() => {
      throw new TypeError('Intl is missing');
    });
    const tag = 'x-none'; // of which no format has been kept
    expect(timeOfDay(tag, 'en', at(23, 9, 5))).toBe('09:05');
    expect(timeOfDay(tag, 'da', at(23, 9, 5))).toBe('09.05');
    expect(dateInWords(tag, 'en', at(16, 9), now)).toBe('Monday 16 November');
    expect(dateInWords(tag, 'da', at(16, 9, 0, 2025), now)).toBe('Søndag 16. november 2025');
    format.mockRestore();
  });

  test('that are none say nothing', () => {
    for (const ts of [NaN, Infinity, 9e15]) {
      expect(timeOfDay('en-GB', 'en', ts)).toBe('');
      expect(dateInWords('en-GB', 'en', ts, now)).toBe('');
    }
  });

  test('count midnights, not hours', () => {
    expect(daysBetween(at(22, 23, 59), at(23, 0, 1))).toBe(1);
    expect(daysBetween(at(23, 0, 1), at(23, 23, 59))).toBe(0);
    expect(daysBetween(at(24, 0), at(23, 23))).toBe(-1);
  });

  test.each<[Language, string[]]>([
    ['en', ['Now', 'Now', '5 min', '10:30', 'Today at 10:30', 'Yesterday at 12:00', 'Today']],
    ['da', ['Nu', 'Nu', '5 min.', '10.30', 'I dag kl. 10.30', 'I går kl. 12.00', 'I dag']],
  ])('are near or far in %s', (language, expected) => {
    const { moment, full, day } = renderHook(useFormats, { wrapper: within(language) }).result.current;
    expect([
      moment(now - 20_000, now), moment(now + 90_000, now), moment(now - 5 * 60_000, now), moment(at(23, 10, 30), now),
      full(at(23, 10, 30), now), full(at(22, 12), now), day(at(24, 9), now), // a server ahead of this device opens no day of its own
    ]).toEqual(expected);
  });
});

test('12 or 24 hours are those of the person\'s own country', () => {
  mockTags.mockReturnValue(['da-DK', 'en-US']);
  const { moment } = renderHook(useFormats, { wrapper: within('en') }).result.current;
  mockTags.mockReturnValue(['en-GB']);
  expect(moment(new Date(2026, 10, 23, 9, 5).getTime(), new Date(2026, 10, 23, 12).getTime())).toMatch(/^9:05\sAM$/);
});

describe('the provider', () => {
  const catalogue = { en: { hello: 'Hello {name}' }, da: { hello: 'Hej {name}' } };
  function Words() {
    const t = useStrings();
    const own = useCatalogue(catalogue);
    return <Text>{`${useLanguage()} ${t('notifications.title')} ${own('hello', { name: 'Ada' })}`}</Text>;
  }

  test('chooses the language of the components and the app', () => {
    render(<Words />, { wrapper: within('da') });
    expect(screen.getByText('da Notifikationer Hej Ada')).toBeOnTheScreen();
  });

  test('is not needed', () => {
    render(<Words />);
    expect(screen.getByText('en Notifications Hello Ada')).toBeOnTheScreen();
  });
});
