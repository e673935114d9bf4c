import { checkAll } from "./checks.js";

addEventListener("message", (event) => {
  const { data } = event as MessageEvent<string>;
  checkAll(data).then(
    (report) => postMessage(report),
    (error) => postMessage({ passed: 0, failures: [String(error?.stack ?? error)] }),
  );
});
