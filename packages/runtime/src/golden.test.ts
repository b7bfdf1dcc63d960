import { referenceProbe } from '@fewbit/kernels';
import { modelContract } from '@fewbit/testkit/model-contract';

modelContract('reference', referenceProbe);
