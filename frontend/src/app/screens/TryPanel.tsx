import Send from 'lucide-react-native/icons/send';
import { useState } from 'react';
import { Button, Words } from '../../core/components';
import { Card } from '../parts/Card';
import { Choice } from '../parts/Choice';
import { Field } from '../parts/Field';
import { localSecret, publishToast, PublishError } from '../publish';
import { useAppStrings } from '../strings';
import { sampleToasts, type Sample } from './samples';

export interface TryPanelProps {
  server: string;
  user: string;
}

/** Sends notifications as a backend would; for a developer's own server only. */
export function TryPanel({ server, user }: TryPanelProps) {
  const t = useAppStrings();
  const [title, setTitle] = useState('');
  const [sample, setSample] = useState<Sample>('full');
  const [whom, setWhom] = useState<'me' | 'everybody'>('me');
  const [secret, setSecret] = useState(localSecret);
  const [asked, setAsked] = useState(false); // the server has another secret than the usual one
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<PublishError>();

  const send = async () => {
    setBusy(true);
    setFailed(undefined);
    try {
      for (const toast of sampleToasts(sample, title.trim() || t('try.defaultTitle'), t)) {
        await publishToast(server, secret, toast, whom === 'me' ? { user } : 'everybody');
      }
    } catch (error) {
      if (error instanceof PublishError && error.status === 401) setAsked(true);
      setFailed(error instanceof PublishError ? error : new PublishError(0, String(error)));
    }
    setBusy(false);
  };

  return (
    <Card title={t('try.title')}>
      <Words kind="detail" tone="muted">{t('try.text')}</Words>
      <Field label={t('try.message')} value={title} onChangeText={setTitle} placeholder={t('try.defaultTitle')} maxLength={180} />
      <Choice
        label={t('try.what')}
        options={[{ value: 'short', label: t('try.short') }, { value: 'full', label: t('try.full') }, { value: 'many', label: t('try.many') }]}
        value={sample}
        onChange={setSample}
      />
      <Choice
        label={t('try.whom')}
        options={[{ value: 'me', label: t('try.me') }, { value: 'everybody', label: t('try.everybody') }]}
        value={whom}
        onChange={setWhom}
      />
      {asked && (
        <Field label={t('try.secret')} value={secret} onChangeText={setSecret} autoCapitalize="none" autoCorrect={false} autoComplete="off" />
      )}
      {failed && <Words kind="detail" tone="bad" role="alert">{t('try.failed', { detail: failed.message })}</Words>}
      <Button grow icon={Send} label={t('try.send')} disabled={busy} onPress={() => void send()} />
    </Card>
  );
}
