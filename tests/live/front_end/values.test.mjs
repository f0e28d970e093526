import assert from "node:assert/strict";
import test from "node:test";

import { whyIdle } from "../../../labkit/live/web/values.js";

const told = "no effect while crash is none";
const unless = { needs: [{ name: "crash", values: ["none"], inside: false, told }] };

test("a control is idle while what it needs is not met", () => {
  assert.equal(whyIdle(unless, { crash: "none" }), told);
  assert.equal(whyIdle(unless, { crash: "payment" }), "");
  const only = { needs: [{ name: "locking", values: ["timeout"], inside: true, told: "why" }] };
  assert.equal(whyIdle(only, { locking: "wait-die" }), "why");
  assert.equal(whyIdle(only, { locking: "timeout" }), "");
});

test("every need must be met, and one without a name never is", () => {
  const two = { needs: [...unless.needs, { name: "", told: "never" }] };
  assert.equal(whyIdle(two, { crash: "none" }), told);
  assert.equal(whyIdle(two, { crash: "payment" }), "never");
  assert.equal(whyIdle({}, {}), "");
});
