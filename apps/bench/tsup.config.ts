import { libraryConfig } from '../../tooling/tsup/tsup.base.ts';

/** tsup leaves dependencies out of the bundle, but not optional ones. */
export default libraryConfig({ external: ['node-llama-cpp', 'onnxruntime-node'] });
