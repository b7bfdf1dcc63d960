export { embeddedModel, shared } from './shared.js';
