// npm run layers: fails when a package imports what it may not, or does not say what it imports.

import { fileURLToPath } from 'node:url';
import { layerViolations } from './layer-violations.mjs';

const violations = layerViolations(fileURLToPath(new URL('../../', import.meta.url)));
for (const violation of violations) console.error(violation);
console.log(
  violations.length === 0 ? 'Layers: every import goes upward.' : `Layers: ${violations.length} violations (see docs/architecture.md).`,
);
process.exitCode = violations.length === 0 ? 0 : 1;
