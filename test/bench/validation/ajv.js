// ajv on the same schemas and payloads: node ajv.js FILE, which holds
// {kind: {schema, payloads: [text, ...], valid: count, repeat}}.  Prints
// {row: {kind: nanoseconds per payload}}.
const fs = require('fs');
const Ajv = require('ajv').default;
const addFormats = require('ajv-formats').default;

const kinds = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
const result = {};

function measure(row, kind, {payloads, valid, repeat}, inputs, check) {
  const times = [];
  for (let round = 0; round < 6; round++) {
    const begin = process.hrtime.bigint();
    let count = 0;
    for (let i = 0; i < repeat; i++)
      for (const input of inputs)
        if (check(input)) count++;
    times.push(Number(process.hrtime.bigint() - begin) / repeat / payloads.length);
    if (count !== valid * repeat)
      throw new Error(`${row}, ${kind}: ${count / repeat} valid, expected ${valid}`);
  }
  times.shift();
  (result[row] ??= {})[kind] = times.sort((a, b) => a - b)[2];
}

for (const [kind, data] of Object.entries(kinds)) {
  const {payloads, schema} = data;
  const objects = payloads.map(text => JSON.parse(text));
  const options = {strict: false};
  const formats = addFormats(new Ajv(options)).compile(schema);
  const plain = new Ajv({...options, validateFormats: false}).compile(schema);
  if (kind !== 'github')
    measure('ajv, objects, without formats', kind, data, objects, plain);
  measure('ajv, objects, with formats', kind, data, objects, formats);
  measure('JSON.parse and ajv, with formats', kind, data, payloads, text => formats(JSON.parse(text)));
}
console.log(JSON.stringify(result));
