import LogOut from 'lucide-react-native/icons/log-out';
import { View } from 'react-native';
import { Button, heading, Words } from '../../core/components';
import { makeStyles } from '../../core/theme';
import { Card } from '../parts/Card';
import { Choice } from '../parts/Choice';
import { Page } from '../parts/Page';
import { ServerForm } from '../parts/ServerForm';
import type { Settings } from '../settings';
import { useAppStrings } from '../strings';

export interface SettingsScreenProps {
  settings: Settings;
  onChange: (change: Partial<Settings>) => void;
  name: string;
  server: string;
  ownServer: string;
  onServer: (server: string) => void;
  onSignOut: () => void;
}

export function SettingsScreen({ settings, onChange, name, server, ownServer, onServer, onSignOut }: SettingsScreenProps) {
  const styles = useStyles();
  const t = useAppStrings();
  return (
    <Page underHeader>
      <Words kind="display" style={styles.title} {...heading(1)}>{t('settings.title')}</Words>
      <Card title={t('settings.language')}>
        <Choice
          label={t('settings.language')}
          // A language is named in its own words, for whoever reads no other.
          options={[{ value: 'system', label: t('settings.system') }, { value: 'en', label: 'English' }, { value: 'da', label: 'Dansk' }]}
          value={settings.language}
          onChange={(language) => onChange({ language })}
        />
      </Card>
      <Card title={t('settings.scheme')}>
        <Choice
          label={t('settings.scheme')}
          options={[
            { value: 'system', label: t('settings.system') },
            { value: 'light', label: t('settings.light') },
            { value: 'dark', label: t('settings.dark') },
          ]}
          value={settings.scheme}
          onChange={(scheme) => onChange({ scheme })}
        />
      </Card>
      <Card title={t('settings.account')}>
        <Words>{t('settings.signedInAs', { name })}</Words>
        <View style={styles.start}>
          <Button kind="soft" icon={LogOut} label={t('settings.signOut')} hint={t('settings.signOutHint')} onPress={onSignOut} />
        </View>
        <Words kind="caption" tone="muted">{t('settings.signOutHint')}</Words>
      </Card>
      <Card title={t('settings.server')}>
        <ServerForm server={server} ownServer={ownServer} onServer={onServer} />
      </Card>
    </Page>
  );
}

const useStyles = makeStyles(({ space }) => ({ title: { paddingTop: space.s }, start: { alignItems: 'flex-start' } }));
