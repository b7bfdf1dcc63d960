/** A vitest reporter: names every test that did not run, with the reason where the test gives one. */
export default class SkippedReporter {
  onTestRunEnd(modules) {
    const skipped = modules.flatMap((module) => [...module.children.allTests('skipped')]);
    if (skipped.length === 0) return;
    const lines = skipped.map((test) => `  ${test.module.relativeModuleId}: ${test.fullName}${reason(test.result().note)}`);
    console.log(`\nSkipped, ${skipped.length}:\n${lines.join('\n')}`);
  }
}

const reason = (note) => (note ? ` (${note})` : '');
