import AsyncStorage from '@react-native-async-storage/async-storage';
import type { FirebaseApp } from '@firebase/app';
import { getReactNativePersistence, initializeAuth, type Auth } from '@firebase/auth';

/** Firebase Auth on a phone, where who is signed in is kept in AsyncStorage. */
export function createAuth(app: FirebaseApp): Auth {
  return initializeAuth(app, { persistence: getReactNativePersistence(AsyncStorage) });
}
