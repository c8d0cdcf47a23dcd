import { describe, expect, it } from "vitest";

import { driftOf } from "./Accuracy";
import { fitStatus, gainText, heldText, honesty, movedText, type SensorTrack, wilson } from "./words";

describe("a share that was counted", () => {
  it("has the interval of Wilson's formula, of some width where all lay inside", () => {
    const [low, high] = wilson(0.9, 100, 1.96);
    expect(low).toBeCloseTo(0.8256, 3);
    expect(high).toBeCloseTo(0.9448, 3);
    expect(wilson(1, 20)[0]).toBeLessThan(0.9);
    expect(wilson(1, 20)[1]).toBe(1);
    expect(wilson(0, 0)).toEqual([0, 1]);
  });
  it("is told with its doubt", () => {
    expect(heldText(0.912, 10_872)).toBe("91.2\u202f±\u202f0.4\u202f%");
    expect(heldText(0.93, 60)).toBe("93\u202f±\u202f6\u202f%");
    expect(heldText(null, 0)).toBe("–");
  });
  it("is judged only by what matters and chance does not explain", () => {
    expect(honesty(0.8, 20, 0.9)).toBe("honest");
    expect(honesty(0.8, 2_000, 0.9)).toBe("too sure");
    expect(honesty(0.99, 2_000, 0.9)).toBe("too modest");
    expect(honesty(0.912, 1_000_000, 0.9)).toBe("honest");
    expect(honesty(0.5, 4, 0.9)).toBe("unknown");
  });
});

describe("a comparison", () => {
  it("says from which error to which, and by how much", () => {
    expect(movedText(4.19, 0.36, "degC")).toBe("4.19 → 0.36\u202f°C");
    expect(movedText(null, 0.36)).toBe("– → 0.36");
    expect(gainText({ incumbent_rmse: 2, challenger_rmse: 0.5 })).toBe("−75\u202f%");
    expect(gainText({ incumbent_rmse: 2, challenger_rmse: 2.2 })).toBe("+10\u202f%");
    expect(gainText({ incumbent_rmse: null, challenger_rmse: 2.2 })).toBe("");
  });
  it("of a fit that waits is a person's", () => {
    const fit = { status: "waiting", verdict: null, promoted: 0 } as Parameters<typeof fitStatus>[0];
    expect(fitStatus(fit).word).toBe("Waits for a person");
    expect(fitStatus({ ...fit, status: "done" }).word).toBe("Nothing better");
    expect(fitStatus({ ...fit, status: "done", promoted: 3 }).word).toBe("Promoted");
  });
});

describe("the drift over a window", () => {
  it("has a gap where nothing was measured, and a band that grows as readings get fewer", () => {
    const part = { start: "2024-05-01T00:00:00Z", inside: [0.5, 0.8, 0.9, 0.95], inside_std: [], bias: 0, spread: 1 };
    const drift = [{ ...part, count: 1_000 }, { ...part, count: 0, inside: [], bias: null, spread: null }, { ...part, count: 10 }];
    const { held, bias } = driftOf({ drift } as unknown as SensorTrack, 0, 3_000);
    expect(held[0]!.values).toEqual([90, null, 90]);
    const width = (k: number) => bias[0]!.high![k]! - bias[0]!.low![k]!;
    expect(width(2)).toBeCloseTo(10 * width(0));
    expect(bias[0]!.low![1]).toBeNull();
  });
});
