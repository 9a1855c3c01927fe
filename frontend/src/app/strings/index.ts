import { useCatalogue } from '../../core/i18n';
import { da } from './da';
import { en } from './en';

const catalogue = { en, da };

export type AppKey = keyof typeof en;

/** The app's own texts in the language here. */
export function useAppStrings() {
  return useCatalogue<AppKey>(catalogue);
}
