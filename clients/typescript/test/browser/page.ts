/** The page: runs all checks here and in a worker, and posts the results. */

import { checkAll, type Report } from "./checks.js";

async function inWorker(base: string): Promise<Report> {
  const worker = new Worker(`${base}worker.js`);
  return new Promise((resolve) => {
    worker.onmessage = ({ data }) => resolve(data as Report);
    worker.onerror = ({ message }) => resolve({ passed: 0, failures: [message] });
    worker.postMessage(base);
  });
}

const base = `${location.origin}/`;
const report = await checkAll(base).catch((error): Report => ({
  passed: 0,
  failures: [String(error?.stack ?? error)],
}));
const worker = await inWorker(base);
await fetch(`${base}result`, { method: "POST", body: JSON.stringify({ page: report, worker }) });
