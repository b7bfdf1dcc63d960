import { backendContract } from '@fewbit/testkit/backend-contract';
import { referenceProbe } from './reference-backend.js';

backendContract('reference', referenceProbe);
