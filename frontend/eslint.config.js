const expo = require('eslint-config-expo/flat');

module.exports = [
  ...expo,
  { ignores: ['dist/**', 'dist-native/**', 'packages/*/dist/**', '.expo/**'] },
  { files: ['*.js'], languageOptions: { globals: { __dirname: 'readonly', module: 'writable', require: 'readonly' } } },
  {
    files: ['e2e/**', 'packages/*/scripts/**'],
    languageOptions: { globals: { Buffer: 'readonly', process: 'readonly', console: 'readonly', URL: 'readonly' } },
    rules: { 'no-redeclare': ['error', { builtinGlobals: false }] }, // a file may name what it takes from the page
  },
];
