import { libraryConfig } from '../../tooling/tsup/tsup.base.ts';

export default libraryConfig({ entry: ['src/index.ts', 'src/{int,two-level,float,codebook,ggml}/index.ts'] });
