import Link2 from 'lucide-react-native/icons/link-2';
import { Blank } from '../../core/components';
import { Page } from '../parts/Page';
import { useAppStrings } from '../strings';

/** Stands for whatever an app shows at an address of its own. */
export function LinkScreen({ link, onHome }: { link: string; onHome: () => void }) {
  const t = useAppStrings();
  return (
    <Page underHeader>
      <Blank icon={Link2} title={link} text={t('link.text')} action={{ label: t('link.home'), onPress: onHome }} />
    </Page>
  );
}
