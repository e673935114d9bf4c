import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const react18 = (name: string) => fileURLToPath(new URL(`test/react18/node_modules/${name}`, import.meta.url));

export default defineConfig({
  test: {
    globalSetup: "test/build.ts",
    testTimeout: 30_000,
    execArgv: process.version.startsWith("v20.") ? ["--experimental-websocket"] : [], // Node 22 has it without
    projects: [
      { extends: true, test: { name: "client", include: ["test/**/*.test.ts"] } },
      {
        extends: true,
        resolve: { alias: { "react-dom": react18("react-dom"), react: react18("react") } },
        test: { name: "react18", include: ["test/react.test.ts"], env: { REACT: "18" } },
      },
    ],
  },
});
