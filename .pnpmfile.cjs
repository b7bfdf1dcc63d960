// What pnpm asks of this workspace. The packages of prebuilt kernels come into being with a release, so that no lockfile can name them: @fewbit/kernels-cpu
// gets them as optional dependencies when it is packed (CONTRIBUTING.md, "Releasing").

const platforms = require('./kernels/cpu/platforms.json');

module.exports = {
  hooks: {
    beforePacking(manifest) {
      if (manifest.name !== '@fewbit/kernels-cpu') return manifest;
      const prebuilt = platforms.map((platform) => [`${manifest.name}-${platform}`, manifest.version]);
      return { ...manifest, optionalDependencies: { ...manifest.optionalDependencies, ...Object.fromEntries(prebuilt) } };
    },
  },
};
