export { runJob, serve } from './schedule';
export { choleskyDiagonal } from './triangular';
