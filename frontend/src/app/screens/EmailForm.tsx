import { useState } from 'react';
import { View } from 'react-native';
import { Button, Words } from '../../core/components';
import type { Accounts } from '../../core/auth/accounts';
import { AuthError, type AuthFault } from '../../core/auth/types';
import { makeStyles } from '../../core/theme';
import { Field } from '../parts/Field';
import { useAppStrings } from '../strings';

// Which field a fault is about; the others are said below the form.
const about: Partial<Record<AuthFault, 'email' | 'password'>> = { email: 'email', taken: 'email', credentials: 'password', weak: 'password' };

/** Signs in to Firebase, or up. */
export function EmailForm({ accounts }: { accounts: Accounts }) {
  const styles = useStyles();
  const t = useAppStrings();
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [creating, setCreating] = useState(false);
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState<AuthFault>();

  const submit = async () => {
    if (busy) return;
    setBusy(true);
    setFault(undefined);
    try {
      await (creating ? accounts.signUp : accounts.signIn)(email.trim(), password);
    } catch (error) {
      setFault(error instanceof AuthError ? error.fault : 'unknown');
    }
    setBusy(false);
  };

  const said = fault && t(`fault.${fault}`);
  return (
    // A form, so that a browser can keep the password.
    <View role="form" aria-label={t('signIn.title')} style={styles.form}>
      <Field
        label={t('signIn.email')}
        fault={fault && about[fault] === 'email' ? said : undefined}
        value={email}
        onChangeText={setEmail}
        autoCapitalize="none"
        autoCorrect={false}
        autoComplete="email"
        inputMode="email"
      />
      <Field
        label={t('signIn.password')}
        fault={fault && about[fault] === 'password' ? said : undefined}
        value={password}
        onChangeText={setPassword}
        onSubmitEditing={() => void submit()}
        secureTextEntry
        autoComplete={creating ? 'new-password' : 'current-password'}
        returnKeyType="go"
      />
      {fault && !about[fault] && <Words kind="detail" tone="bad" role="alert">{said}</Words>}
      <Button grow label={t(creating ? 'signIn.create' : 'signIn.submit')} disabled={busy} onPress={() => void submit()} />
      <Button kind="quiet" label={t(creating ? 'signIn.toSubmit' : 'signIn.toCreate')} onPress={() => setCreating(!creating)} />
    </View>
  );
}

const useStyles = makeStyles(({ space }) => ({ form: { gap: space.l } }));
