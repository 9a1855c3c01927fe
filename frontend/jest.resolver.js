const path = require('node:path');
const resolve = require('react-native-worklets/jest/resolver');

const client = path.join(__dirname, 'packages', 'client', 'src');

// As in metro.config.js: the client's imports name .js files, which are .ts here.
module.exports = (name, options) => {
  const ours = options.basedir === client && name.startsWith('.');
  return resolve(ours ? name.replace(/\.js$/, '') : name, options);
};
