import AsyncStorage from '@react-native-async-storage/async-storage';
import type { Store } from './types';

/** AsyncStorage as the Store of a client; in a browser that is localStorage. */
export const asyncStore: Store = {
  get: (key) => AsyncStorage.getItem(key),
  set: (key, value) => AsyncStorage.setItem(key, value),
  remove: (key) => AsyncStorage.removeItem(key),
};
