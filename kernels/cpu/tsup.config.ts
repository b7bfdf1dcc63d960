import { libraryConfig } from '../../tooling/tsup/tsup.base.ts';

export default libraryConfig();
