import TriangleAlert from 'lucide-react-native/icons/triangle-alert';
import { Component, type ReactNode } from 'react';
import { Blank } from '../../core/components';
import { useAppStrings } from '../strings';
import { Page } from './Page';

/** Shows that something went wrong, and a way on, where otherwise nothing at all would be shown. */
export class Unbroken extends Component<{ children: ReactNode }, { broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError() {
    return { broken: true };
  }

  override render() {
    return this.state.broken ? <Broken onAgain={() => this.setState({ broken: false })} /> : this.props.children;
  }
}

function Broken({ onAgain }: { onAgain: () => void }) {
  const t = useAppStrings();
  return (
    <Page centered>
      <Blank icon={TriangleAlert} title={t('broken.title')} text={t('broken.text')} action={{ label: t('broken.again'), onPress: onAgain }} />
    </Page>
  );
}
