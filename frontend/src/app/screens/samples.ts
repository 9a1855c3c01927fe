import type { EventPayloads } from '../../core/ws/types';
import type { useAppStrings } from '../strings';

export type Sample = 'short' | 'full' | 'many';

/** The toasts of a sample, in the order in which to send them. */
export function sampleToasts(sample: Sample, title: string, t: ReturnType<typeof useAppStrings>): EventPayloads['toast'][] {
  switch (sample) {
    case 'short':
      return [{ title }];
    case 'full':
      return [{
        title,
        teaser: t('try.sampleTeaser'),
        description: t('try.sampleText'),
        action_url: 'sv://event/7',
        action_label: t('try.sampleAction'),
      }];
    case 'many':
      return Array.from({ length: 10 }, (_, i) => ({ title: t('try.sampleNumbered', { title, count: i + 1 }) }));
  }
}
