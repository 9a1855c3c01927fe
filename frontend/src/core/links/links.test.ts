import { Linking } from 'react-native';
import { openAction } from './openAction';
import { resolveAction, safeImage } from './resolveAction';

const hidden = (code: number) => String.fromCodePoint(code);

describe('resolveAction', () => {
  test.each([
    ['https://example.com', 'https', 'example.com'],
    ['https://example.com/', 'https', 'example.com'],
    ['https://sub.example.co.uk:8443/a/b?c=d&e=%20f#g', 'https', 'sub.example.co.uk:8443'],
    ['https://xn--blbrgrd-fxak7p.dk/', 'https', 'xn--blbrgrd-fxak7p.dk'],
    ['https://example.com./', 'https', 'example.com.'],
    ['https://[2001:db8::1]:443/', 'https', '[2001:db8::1]:443'],
    ['https://example.com/søen?navn=Åse', 'https', 'example.com'],
    ['https://example.com/@ada', 'https', 'example.com'],
    ['https://example.com/a:b//c', 'https', 'example.com'],
    ['HTTPS://Example.com/Path', 'https', 'Example.com'],
    ['sv://event/7', 'sv', 'event'],
    ['SV://event/7', 'sv', 'event'],
    ['sv://profile', 'sv', 'profile'],
  ])('allows %s', (address, scheme, host) => {
    expect(resolveAction(address)).toEqual({ url: scheme + address.slice(scheme.length), scheme, host });
  });

  test.each([
    ['nothing', undefined], ['null', null], ['a number', 7], ['an object', { toString: () => 'https://example.com' }], ['nothing at all', ''],
    ['script', 'javascript:alert(1)'], ['script as an address', 'javascript://example.com/%0aalert(1)'],
    ['script in mixed case', 'JaVaScRiPt:alert(1)'], ['script in HTML', 'java&#115;cript:alert(1)'],
    ['data', 'data:text/html,<script>alert(1)</script>'], ['data as an address', 'data://text/html'],
    ['a file', 'file:///etc/passwd'], ['a file with a host', 'file://host/etc/passwd'], ['vbscript', 'vbscript://x/'],
    ['a blob', 'blob:https://example.com/1'], ['a view of the source', 'view-source:https://example.com'],
    ['an intent', 'intent://scan/#Intent;scheme=zxing;end'], ['a phone number', 'tel:+4512345678'], ['mail', 'mailto:a@example.com'],
    ['plain http', 'http://example.com'], ['websocket', 'wss://example.com'], ['another app', 'svx://event'], ['a prefix of one', 's://event'],
    ['no scheme', 'example.com'], ['no scheme, two slashes', '//example.com'], ['a path', '/events/7'], ['no slashes', 'https:example.com'],
    ['one slash', 'https:/example.com'], ['three slashes', 'https:///example.com'], ['no host', 'https://'], ['only a query', 'https://?a=b'],
    ['only a port', 'https://:443/'], ['an app without a host', 'sv://'], ['an app with a path only', 'sv:///event'],
    ['a name', 'https://good.example@evil.example/'], ['a name and a password', 'https://good.example:443@evil.example/'],
    ['an empty name', 'https://@evil.example/'], ['an encoded name', 'https://good.example%40evil.example/'],
    ['a name in an app', 'sv://good@evil/'],
    ['a backslash for a slash', 'https://good.example\\@evil.example/'], ['backslashes', 'https:\\\\evil.example'],
    ['a backslash in the path', 'https://example.com/a\\b'],
    ['a space before', ' https://example.com'], ['a space after', 'https://example.com '], ['a space inside', 'https://exa mple.com'],
    ['a tab in the scheme', 'ht\ttps://example.com'], ['a line break', 'https://example.com/\nb'], ['a NUL', 'https://example.com/\u0000'],
    ['a NUL before', '\u0000https://example.com'], ['delete', 'https://example.com/\u007f'],
    ['a control character', 'https://example.com/\u0085'], ['a no-break space', `https://example.com/${hidden(0xa0)}`],
    ['a zero-width space', `https://exam${hidden(0x200b)}ple.com`], ['a direction override', `https://example.com/${hidden(0x202e)}gpj.exe`],
    ['an isolate', `https://example.com/${hidden(0x2066)}x`], ['a soft hyphen', `https://exam${hidden(0xad)}ple.com`],
    ['a byte order mark', `${hidden(0xfeff)}https://example.com`], ['a tag character', `https://example.com/${hidden(0xe0061)}`],
    ['half a surrogate pair', 'https://example.com/\ud800'], ['a wide space', `https://example.com/${hidden(0x3000)}`],
    ['a Cyrillic host', 'https://еxample.com/'], ['a full-width host', 'https://ｅxample.com/'], ['a full-width dot', 'https://example。com/'],
    ['a full-width slash', 'https://evil.example／.good.example/'], ['percent signs in the host', 'https://exam%70le.com/'],
    ['an empty label', 'https://example..com/'], ['a dash first', 'https://-example.com/'], ['a port in words', 'https://example.com:https/'],
    ['a port too long', 'https://example.com:123456/'], ['a label too long', `https://${'a'.repeat(64)}.com/`],
    ['quotes in the host', 'https://exam"ple.com/'], ['brackets in the host', 'https://<b>.com/'], ['an address too long', `https://example.com/${'a'.repeat(2048)}`],
  ])('refuses %s', (_, address) => {
    expect(resolveAction(address)).toBeUndefined();
  });

  test('an app chooses its schemes, in any spelling', () => {
    expect(resolveAction('club://chess', ['CLUB:'])?.host).toBe('chess');
    expect(resolveAction('club://chess', ['club://'])?.host).toBe('chess');
    expect(resolveAction('https://example.com', ['club'])).toBeUndefined();
    expect(resolveAction('https://example.com', [])).toBeUndefined();
  });

  test('is quick about a hostile address', () => {
    // Each of these would take a backtracking expression more steps than there are seconds.
    for (const address of [`https://${'a'.repeat(2000)}!`, `https://${'a.'.repeat(1000)}!`, `https://${'a-'.repeat(1000)}`]) {
      expect(resolveAction(address)).toBeUndefined();
    }
  });
});

test('pictures come by https only', () => {
  expect(safeImage('https://example.com/a.jpg')).toBe('https://example.com/a.jpg');
  for (const address of ['http://example.com/a.jpg', 'sv://picture', 'data:image/svg+xml,<svg/>', 'file:///a.jpg', undefined]) {
    expect(safeImage(address)).toBeUndefined();
  }
});

describe('openAction', () => {
  const action = { url: 'https://example.com/', scheme: 'https', host: 'example.com' };

  test('opens the address', async () => {
    const open = jest.spyOn(Linking, 'openURL').mockResolvedValue(true);
    await expect(openAction(action)).resolves.toBe(true);
    expect(open).toHaveBeenCalledWith('https://example.com/');
  });

  test('says so when nothing can open it', async () => {
    jest.spyOn(Linking, 'openURL').mockRejectedValue(new Error('no app'));
    await expect(openAction(action)).resolves.toBe(false);
  });
});
