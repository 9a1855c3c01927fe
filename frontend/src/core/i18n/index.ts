export { I18nProvider, useCatalogue, useFormats, useLanguage, useStrings, type Formats, type I18nProviderProps } from './I18nProvider';
export { languages, type Catalogue, type Language, type Translate } from './translate';
export type { Message } from './en';
