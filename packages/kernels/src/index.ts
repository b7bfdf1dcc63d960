export { checkDraw } from './check-draw.js';
export { inGroupOrder, type OrderedMatrix, rejectsColumnGroups } from './column-order.js';
export { type BesideCodes, holdCodes, type OutlierPlaces } from './hold-codes.js';
export { type HostTable, hostBackend } from './host-backend.js';
export { arrayHeap, type FormedTensor, type Heap, type HostMemory, type HostTensor } from './host-memory.js';
export { commonPageShape, type HostPage, hostPages, isPage, type PageTensor, pageShapeOf } from './host-pages.js';
export { integersOf, isWhole, type MatrixIntegers, type MatrixSteps, shortestType } from './integers-of.js';
export { levelsOf, type MatrixLevels } from './levels-of.js';
export { pageNumbers, roundingNumbers } from './page-shape.js';
export { type RecordedHeap, recordedHeap, type Tape } from './recorded-heap.js';
export { referenceAlgebra } from './reference-algebra.js';
export { referenceBackend, referenceProbe } from './reference-backend.js';
export { referenceOps } from './reference-ops.js';
export { type RoundingPart, type RoundingShape, roundedByReference, roundingKinds, roundingParts } from './rounding-shape.js';
export { drawNumbers, sampleToken } from './sample-token.js';
export { type BackendSelection, type NamedProbe, selectBackend } from './select-backend.js';
export type {
  Activation,
  ActivationPrecision,
  Algebra,
  AttentionOptions,
  Backend,
  BackendProbe,
  DeviceTensor,
  Draw,
  Ops,
  PageForm,
  PageForms,
  Recording,
  Rotary,
  ValueRange,
  WeightForms,
} from './types.js';
export { filled, uploadShortened } from './upload-floats.js';
