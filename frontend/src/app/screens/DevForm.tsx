import { useState } from 'react';
import { Button } from '../../core/components';
import type { Accounts } from '../../core/auth/accounts';
import { isUserId } from '../../core/auth/devToken';
import { Field } from '../parts/Field';
import { useAppStrings } from '../strings';

/** Signs in with a name only, for servers that take unsigned tokens. */
export function DevForm({ accounts }: { accounts: Accounts }) {
  const t = useAppStrings();
  const [name, setName] = useState('');
  const [wrong, setWrong] = useState(false);
  const submit = () => {
    const user = name.trim();
    setWrong(!isUserId(user));
    if (isUserId(user)) void accounts.signInDev(user);
  };
  return (
    <>
      <Field
        label={t('signIn.name')}
        hint={t('signIn.nameHint')}
        fault={wrong ? t('fault.name') : undefined}
        value={name}
        onChangeText={setName}
        onSubmitEditing={submit}
        autoCapitalize="none"
        autoCorrect={false}
        autoComplete="username"
        returnKeyType="go"
      />
      <Button grow label={t('signIn.submit')} onPress={submit} />
    </>
  );
}
