const preset = require('jest-expo/jest-preset');

// Packages that are published as ES modules or untranspiled, which Jest cannot run as they are.
const untranspiled = ['react-native', '@react-native', 'expo', '@expo', 'lucide-react-native', '@firebase'];

module.exports = {
  preset: 'jest-expo',
  resolver: './jest.resolver.js',
  setupFiles: ['./jest.setup.ts', 'react-native-gesture-handler/jestSetup'],
  testMatch: ['<rootDir>/src/**/*.test.ts?(x)'],
  // The client as it is bundled: from its TypeScript. Its own tests run in Vitest.
  moduleNameMapper: { '^@socialvibes/vibemesh-client$': '<rootDir>/packages/client/src/index.ts' },
  transform: { '\\.mjs$': preset.transform['\\.[jt]sx?$'] },
  transformIgnorePatterns: [`/node_modules/(?!(${untranspiled.join('|')}))`, ...preset.transformIgnorePatterns.slice(1)],
  testTimeout: 30_000, // the first render of a file transforms much of React Native, on a busy machine for long
  collectCoverageFrom: ['src/**/*.{ts,tsx}', '!src/**/*.test.*'],
};
