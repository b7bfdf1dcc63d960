import { libraryConfig } from '../../tooling/tsup/tsup.base.ts';

export default libraryConfig({ entry: ['src/index.ts', 'src/{int,float,codebook,ggml}/index.ts'] });
