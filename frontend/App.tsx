export { DemoApp as default } from './src/app/DemoApp';
