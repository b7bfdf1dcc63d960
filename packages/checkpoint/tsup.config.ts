import { libraryConfig } from '../../tooling/tsup/tsup.base.ts';

export default libraryConfig({ entry: ['src/index.ts', 'src/web/index.ts'] });
