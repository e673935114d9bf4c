/** The name that the document's snippets import (test/browser/document.txt). */

export * from "../../../src/audio/index.js";
