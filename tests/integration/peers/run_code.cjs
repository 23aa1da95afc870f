// Run the piece of JavaScript that stands on standard input, in the environment of a client; see peer.py.
const { readFileSync } = require('node:fs');

async function main() {
  const { code, given } = JSON.parse(readFileSync(0, 'utf-8'));
  const piece = new Function('require', 'given', `return (async () => {${code}\n})()`);
  try {
    return { result: (await piece(require, given)) ?? null };
  } catch (error) {
    return { error: { kind: error.errorCode ?? error.code ?? error.name, text: String(error.message) } };
  }
}

main().then((answer) => {
  process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
});
