import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { importedModules } from './imported-modules.mjs';
import { packageFiles, workspaceFolders } from './package-files.mjs';

/**
 * What is wrong with the imports of the workspace at `root`, a sentence each.
 *
 * `tooling/layers/layers.json` lists the packages from the bottom of the house to the top, each with the packages that it may import.
 * Code that ships may import those, and third-party packages, that package.json declares as `dependencies`; tests and configuration may also
 * import `devDependencies`, any package further up the list, and what the root declares.
 */
export function layerViolations(root) {
  const layers = readJson(join(root, 'tooling/layers/layers.json'));
  const rootTools = Object.keys(readJson(join(root, 'package.json')).devDependencies ?? {});
  const packages = workspaceFolders(root).map((folder) => ({ folder, ...readJson(join(root, folder, 'package.json')) }));
  const house = {
    root,
    rootTools,
    packages,
    byName: new Map(packages.map((member) => [member.name, member])),
    place: new Map(layers.map((layer, index) => [layer.package, index])),
    mayImport: new Map(layers.map((layer) => [layer.package, layer.mayImport])),
    testTools: new Set(layers.filter(({ testTool }) => testTool).map((layer) => layer.package)),
  };
  return [
    ...listViolations(layers, house),
    ...packages.flatMap((member) => [...declaredViolations(member, house), ...sourceViolations(member, house)]),
  ];
}

/** The list names each package of the workspace once, and only edges that go up. */
function listViolations(layers, { packages, byName, place }) {
  return [
    ...packages.filter(({ name }) => !place.has(name)).map(({ name }) => `${name} is not in layers.json: give it its place.`),
    ...layers.filter((layer) => !byName.has(layer.package)).map((layer) => `layers.json names ${layer.package}, which is no package.`),
    ...layers.flatMap((layer, index) =>
      layer.mayImport
        .filter((name) => !(place.get(name) < index))
        .map((name) => `layers.json lets ${layer.package} import ${name}, which is not above it.`),
    ),
  ];
}

function declaredViolations(member, { byName, place, mayImport, testTools }) {
  const { name } = member;
  const internal = (names) => names.filter((dependency) => byName.has(dependency));
  const mayShip = new Set(mayImport.get(name));
  return [
    ...internal(shipped(member))
      .filter((dependency) => !mayShip.has(dependency))
      .map((dependency) => `${name} depends on ${dependency}, which layers.json does not let it import.`),
    ...internal(Object.keys(member.devDependencies ?? {}))
      .filter((dependency) => !testTools.has(dependency) && !(place.get(dependency) < place.get(name)))
      .map((dependency) => `${name} tests with ${dependency}, which is not above it.`),
  ];
}

function sourceViolations(member, house) {
  const { name, folder } = member;
  const declared = shipped(member);
  const forTests = new Set([...declared, ...Object.keys(member.devDependencies ?? {}), ...house.rootTools, name]);
  const used = new Set();
  const violations = [];
  for (const { path, ships } of packageFiles(join(house.root, folder))) {
    const file = join(house.root, folder, path);
    for (const specifier of importedModules(file)) {
      const complain = (what) => violations.push(`${join(folder, path)} imports ${specifier}: ${what}.`);
      if (isBuiltin(specifier)) continue;
      if (specifier.startsWith('.')) {
        const entered = enteredPackage(resolve(dirname(file), specifier), member, house);
        if (entered) complain(`a path into ${entered}; import the package by its name`);
        continue;
      }
      const [dependency, subpath] = splitSpecifier(specifier);
      if (ships) used.add(dependency);
      const known = ships && !member.private ? declared.includes(dependency) : forTests.has(dependency);
      if (!known) complain(`${dependency} is not among the ${ships && !member.private ? 'dependencies' : 'devDependencies'} of ${name}`);
      const exports = house.byName.get(dependency)?.exports;
      if (exports && !(subpath in exports)) complain(`${dependency} does not export ${subpath}`);
    }
  }
  for (const dependency of declared.filter((declaration) => !used.has(declaration)))
    violations.push(`${name} declares ${dependency} and does not import it: remove the dependency.`);
  return violations;
}

/** The other package that a path leads into; a test tool may enter the front door of packages that it may import, since a dependency would close a cycle. */
function enteredPackage(target, member, { root, packages, mayImport, testTools }) {
  const entered = packages.find(({ folder }) => target.startsWith(join(root, folder) + sep));
  if (!entered || entered.name === member.name) return undefined;
  const door = relative(join(root, entered.folder), target) === join('src', 'index.js');
  return door && testTools.has(member.name) && mayImport.get(member.name)?.includes(entered.name) ? undefined : entered.name;
}

function shipped({ dependencies, peerDependencies, optionalDependencies }) {
  return Object.keys({ ...dependencies, ...peerDependencies, ...optionalDependencies });
}

/** `@scope/name/sub/path` → [`@scope/name`, `./sub/path`] */
function splitSpecifier(specifier) {
  const parts = specifier.split('/');
  const length = specifier.startsWith('@') ? 2 : 1;
  return [parts.slice(0, length).join('/'), ['.', ...parts.slice(length)].join('/')];
}

function readJson(path) {
  return JSON.parse(readFileSync(path, 'utf8'));
}
