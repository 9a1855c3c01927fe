import { useState } from 'react';
import { View } from 'react-native';
import { Button, heading, Mark, Words } from '../../core/components';
import type { Accounts } from '../../core/auth/accounts';
import type { SessionKind } from '../../core/auth/types';
import { makeStyles } from '../../core/theme';
import { Card } from '../parts/Card';
import { Choice } from '../parts/Choice';
import { Page } from '../parts/Page';
import { ServerForm } from '../parts/ServerForm';
import { useAppStrings } from '../strings';
import { DevForm } from './DevForm';
import { EmailForm } from './EmailForm';

export interface SignInScreenProps {
  accounts: Accounts;
  /** The ways to sign in that there are here, the first one shown first. */
  kinds: readonly SessionKind[];
  server: string;
  /** The server when the person names none. */
  ownServer: string;
  onServer: (server: string) => void;
}

export function SignInScreen({ accounts, kinds, server, ownServer, onServer }: SignInScreenProps) {
  const styles = useStyles();
  const t = useAppStrings();
  const [wanted, setWanted] = useState<SessionKind>();
  const kind = kinds.find((candidate) => candidate === wanted) ?? kinds[0];
  const [changing, setChanging] = useState(false);
  return (
    <Page centered width={440}>
      <View style={styles.top}>
        <Mark size={64} />
        <Words kind="display" style={styles.middle} {...heading(1)}>Vibemesh</Words>
        <Words kind="body" tone="muted" style={styles.middle}>{t('signIn.text')}</Words>
      </View>
      <Card>
        {kinds.length > 1 && kind && (
          <Choice
            label={t('signIn.how')}
            options={kinds.map((value) => ({ value, label: t(`signIn.${value}`) }))}
            value={kind}
            onChange={setWanted}
          />
        )}
        {kind === undefined && <Words>{t('signIn.none')}</Words>}
        {kind === 'dev' && <DevForm accounts={accounts} />}
        {kind === 'firebase' && <EmailForm accounts={accounts} />}
      </Card>
      {changing ? (
        <Card>
          <ServerForm
            server={server}
            ownServer={ownServer}
            onServer={(chosen) => {
              setChanging(false);
              onServer(chosen);
            }}
          />
        </Card>
      ) : (
        <View style={styles.server}>
          <Words kind="detail" tone="muted" style={styles.middle}>{t('signIn.server', { server })}</Words>
          <Button kind="quiet" label={t('signIn.changeServer')} hint={t('settings.serverLabel')} onPress={() => setChanging(true)} />
        </View>
      )}
    </Page>
  );
}

const useStyles = makeStyles(({ space }) => ({
  top: { alignItems: 'center', gap: space.m, paddingVertical: space.l },
  middle: { textAlign: 'center' },
  server: { flexDirection: 'row', flexWrap: 'wrap', alignItems: 'center', justifyContent: 'center', columnGap: space.xs },
}));
