export { openAction } from './openAction';
export { defaultSchemes, resolveAction, safeImage, type Action } from './resolveAction';
