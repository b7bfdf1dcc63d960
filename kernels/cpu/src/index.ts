export { cpuProbe } from './cpu-probe.js';
