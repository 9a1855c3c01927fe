import { StatusBar } from 'expo-status-bar';
import { SafeAreaProvider } from 'react-native-safe-area-context';
import { I18nProvider, useLanguage } from '../core/i18n';
import { ThemeProvider, useTheme } from '../core/theme';
import { asyncStore } from '../core/ws/asyncStore';
import { Account } from './Account';
import { useLanguageOfPage } from './page';
import { Unbroken } from './parts/Unbroken';
import { useSettings } from './useSettings';

/** The demo: everything that the parts in core do, and how an app puts them together. */
export function DemoApp() {
  const { settings, change } = useSettings(asyncStore);
  if (!settings) return null; // a moment; what was chosen must not flash in another language or colour
  return (
    <SafeAreaProvider>
      <ThemeProvider scheme={settings.scheme}>
        <I18nProvider language={settings.language}>
          <Surroundings />
          <Unbroken>
            <Account settings={settings} onChange={change} />
          </Unbroken>
        </I18nProvider>
      </ThemeProvider>
    </SafeAreaProvider>
  );
}

/** What lies around the app: the device's own bar, in the colours of the theme and not of the device, and the page. */
function Surroundings() {
  useLanguageOfPage(useLanguage());
  return <StatusBar style={useTheme().scheme === 'dark' ? 'light' : 'dark'} />;
}
