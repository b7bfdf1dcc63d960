export { conduct, runJob, serve } from './schedule';
