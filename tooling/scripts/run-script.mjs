/** Runs a script's main function; what it throws becomes one line and exit code 1. */
export async function runScript(main) {
  try {
    await main();
  } catch (error) {
    console.error(process.env.FEWBIT_DEBUG ? error : error.message);
    process.exitCode = 1;
  }
}
