export { nearest, type RtnOptions, rtn } from './rtn.js';
