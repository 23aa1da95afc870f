// jsforce: an upsert by Bulk API 2.0.
const { readFileSync } = require('node:fs');
const jsforce = require('@jsforce/jsforce-node');

async function main() {
  const began = performance.now();
  const org = new jsforce.Connection({
    instanceUrl: process.env.URL, accessToken: process.env.TOKEN, version: '62.0',
  });
  org.bulk2.pollTimeout = 600000;
  const answer = await org.bulk2.loadAndWaitForResults({
    object: 'Contact', operation: 'upsert', externalIdFieldName: 'MarkMail_Id__c',
    input: readFileSync(process.env.ROWS, 'utf-8'),
  });
  const done = answer.successfulResults.length;
  console.log(JSON.stringify({ done, seconds: (performance.now() - began) / 1000 }));
}

main();
