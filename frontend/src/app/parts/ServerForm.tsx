import { useState } from 'react';
import { StyleSheet, View } from 'react-native';
import { Button } from '../../core/components';
import { parseServer } from '../server';
import { useAppStrings } from '../strings';
import { Field } from './Field';

export interface ServerFormProps {
  server: string;
  /** The server when the person names none. */
  ownServer: string;
  /** Is given an origin, or nothing for the app's own server. */
  onServer: (server: string) => void;
}

/** Which server to talk to. */
export function ServerForm({ server, ownServer, onServer }: ServerFormProps) {
  const t = useAppStrings();
  const [text, setText] = useState(server);
  const [wrong, setWrong] = useState(false);
  const submit = () => {
    const chosen = text.trim() === '' ? '' : parseServer(text);
    setWrong(chosen === undefined);
    if (chosen !== undefined) onServer(chosen);
  };
  return (
    <>
      <Field
        label={t('settings.serverLabel')}
        hint={t('settings.serverHint', { server: ownServer })}
        fault={wrong ? t('settings.serverWrong') : undefined}
        value={text}
        onChangeText={setText}
        onSubmitEditing={submit}
        autoCapitalize="none"
        autoCorrect={false}
        inputMode="url"
        placeholder={ownServer}
        returnKeyType="done"
      />
      <View style={styles.start}><Button kind="soft" label={t('settings.save')} onPress={submit} /></View>
    </>
  );
}

const styles = StyleSheet.create({ start: { alignItems: 'flex-start' } });
