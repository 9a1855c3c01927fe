const path = require('node:path');
const { getDefaultConfig } = require('expo/metro-config');

const config = getDefaultConfig(__dirname);
const client = path.join(__dirname, 'packages', 'client', 'src') + path.sep;

// The app is built from the client's TypeScript (tsconfig.json says where it is). Its imports name the .js files
// that TypeScript makes of it, as ES modules have to; here they are .ts.
config.resolver.resolveRequest = (context, name, platform) => {
  const ours = context.originModulePath.startsWith(client) && name.startsWith('.');
  return context.resolveRequest(context, ours ? name.replace(/\.js$/, '') : name, platform);
};

module.exports = config;
